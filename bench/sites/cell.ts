import { analyze } from '../../src/analysis/analyze.ts';
import type { MemberQuery } from '../../src/analysis/facts.ts';
import { UserError } from '../../src/base/errors.ts';
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
    const wanted = numbers(named[key]);
    const own = numbers(plan[key], named[key]);
    if (own === wanted) continue;
    if (own === undefined) missingLayouts.push(key);
    else if (wanted !== undefined) wrongLayouts.push(`${key}: ${own}, by names ${wanted}`);
  }
  return { wrongLayouts, missingLayouts };
}

/** Members that are 0 by names are of a library whose hooks have no names: whatever was found is not compared. */
function numbers(layout: object | undefined, named?: object): string | undefined {
  if (layout === undefined) return undefined;
  const unused = new Set(Object.entries(named ?? {}).flatMap(([key, value]) => (value === 0 ? [key] : [])));
  const own = Object.entries(layout).map(([key, value]) => [key, unused.has(key) ? 0 : value] as const);
  const entries = own.filter(([, value]) => typeof value === 'number');
  return entries.map(([key, value]) => `${key} ${value}`).join(', ');
}

/** The plan of a program that must give none, or the message that says why there is none. */
export async function planOrReason(path: string): Promise<Plan | string> {
  try {
    return (await planned(path)).auto;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}
