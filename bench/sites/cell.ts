import { analyze } from '../../src/analysis/analyze.ts';
import type { MemberQuery } from '../../src/analysis/facts.ts';
import { QUERIES } from '../../src/libraries/index.ts';
import { MEMBER_QUERIES } from '../../src/libraries/measured.ts';
import { makePlan } from '../../src/plan/make-plan.ts';
import type { Plan, SourceChoice, Tier } from '../../src/plan/plan.ts';
import { boundaryCheck } from './boundaries.ts';
import { type HookScore, scoreSites } from './score.ts';
import { readTruth } from './truth.ts';

/** Both twins of one program: the same link, with symbols and DWARF, and without. */
export interface CellFiles {
  readonly stack: string;
  readonly cell: string;
  readonly symbols: string;
  readonly stripped: string;
}

export interface TwinResult {
  readonly hooks: readonly HookScore[];
  /** Layouts and slots that differ from those found by names. */
  readonly wrongLayouts: readonly string[];
  readonly missingLayouts: readonly string[];
  readonly sources: readonly SourceChoice[];
  readonly analysisMs: number;
}

export interface CellResult extends CellFiles {
  /** Layouts from the program's own DWARF, where they differ from the tables', and where each is from. */
  readonly dwarfLayouts: {
    readonly wrong: readonly string[];
    readonly evidence: Readonly<Record<string, string>>;
  };
  readonly named: TwinResult;
  readonly strippedTwin: TwinResult;
}

/** A folder for debug files that does not exist: what the machine has must not help. */
const NO_DEBUG_FILES = '/nonexistent';

interface Planned {
  /** With every hook that any tier wants. */
  readonly all: Plan;
  /** As a user gets it. */
  readonly auto: Plan;
  readonly analysisMs: number;
}

async function planned(path: string, members: readonly MemberQuery[] = []): Promise<Planned> {
  const start = performance.now();
  const { facts, readCode } = await analyze(path, QUERIES, {
    cacheDirectory: false,
    debugRoot: NO_DEBUG_FILES,
    members,
  });
  const planOf = (tier: Tier) => makePlan({ facts, readCode }, tier);
  const auto = planOf('auto');
  return { auto, all: planOf('library'), analysisMs: performance.now() - start };
}

export async function measureCell(files: CellFiles): Promise<CellResult> {
  const named = await planned(files.symbols);
  const stripped = await planned(files.stripped);
  const measured = await planned(files.symbols, MEMBER_QUERIES);
  const truth = await readTruth(files.symbols);
  const { readCode } = await analyze(files.symbols, [], { cacheDirectory: false, debugRoot: NO_DEBUG_FILES });
  const isBoundary = boundaryCheck(files.symbols, readCode);
  const twin = (plans: Planned): TwinResult => ({
    hooks: scoreSites(plans.all, { truth, named: named.all, isBoundary }),
    ...compareLayouts(plans.all, named.all),
    sources: plans.auto.sources,
    analysisMs: plans.analysisMs,
  });
  return {
    ...files,
    named: twin(named),
    strippedTwin: twin(stripped),
    dwarfLayouts: {
      wrong: compareLayouts(measured.all, named.all).wrongLayouts,
      evidence: layoutEvidence(measured.all),
    },
  };
}

function layoutEvidence({
  layoutEvidence: evidence,
  taskSlot,
  routeTable,
}: Plan): Readonly<Record<string, string>> {
  return {
    ...evidence,
    ...(taskSlot && { taskSlot: taskSlot.evidence }),
    ...(routeTable && { routeTable: routeTable.evidence }),
  };
}

const LAYOUTS = ['layout', 'clientLayout', 'streamLayout', 'taskSlot', 'routeTable'] as const;

/** Numbers decide, not how they were found. */
export function compareLayouts(plan: Plan, named: Plan): Pick<TwinResult, 'wrongLayouts' | 'missingLayouts'> {
  const wrongLayouts: string[] = [];
  const missingLayouts: string[] = [];
  for (const key of LAYOUTS) {
    const [own, wanted] = [usedNumbers(plan, key), usedNumbers(named, key)];
    const missing = Object.keys(wanted).filter((name) => own[name] === undefined);
    const wrong = Object.keys(own).filter((name) => wanted[name] !== undefined && own[name] !== wanted[name]);
    if (missing.length > 0) missingLayouts.push(key);
    wrongLayouts.push(...wrong.map((name) => `${key}: ${name} ${own[name]}, by names ${wanted[name]}`));
  }
  return { wrongLayouts, missingLayouts };
}

/** Of a layout that isn't there nothing. */
function usedNumbers(plan: Plan, key: (typeof LAYOUTS)[number]): Readonly<Record<string, number>> {
  const followsHyper = plan.probes.some(({ program }) => program.startsWith('hyper_client'));
  const entries = Object.entries(plan[key] ?? {}).filter(([name, value]) => {
    // Calls of another client than hyper's are followed with its members left 0.
    const isUnused = key === 'clientLayout' && name.startsWith('client') && !followsHyper;
    return typeof value === 'number' && !isUnused;
  });
  return Object.fromEntries(entries);
}
