import type { Plan, ProbeSite } from '../../src/plan/plan.ts';
import { type TrueCode, type Truth, trueHook } from './truth.ts';

/** What came of one hook in one program. */
export interface HookScore {
  readonly hook: string;
  readonly right: number;
  readonly missed: number;
  readonly wrong: readonly string[];
  /** How the sites were found, each once. */
  readonly evidence: readonly string[];
  /** Why places were missed, as the plan says. */
  readonly reasons: readonly string[];
}

/**
 * The sites of `plan` against the truth. `named` is the plan of the same program with symbols: its sites are
 * what is wanted, and where names do not help (all copies are inlined), each copy is.
 */
export function scoreSites(
  plan: Plan,
  named: Plan,
  truth: Truth,
  isBoundary: (svma: number) => boolean,
): readonly HookScore[] {
  const hooks = new Set([...named.probes, ...named.missing, ...plan.probes].map(({ hook }) => hook));
  return [...hooks]
    .filter((hook) => isJudged(hook, plan))
    .sort()
    .map((hook) => scoreHook(hook, plan, named, truth, isBoundary));
}

/** Reasons may name layouts and other things that have no site. */
const isJudged = (hook: string, plan: Plan): boolean =>
  trueHook(hook) !== undefined || plan.probes.some((probe) => probe.hook === hook);

function scoreHook(
  hook: string,
  plan: Plan,
  named: Plan,
  truth: Truth,
  isBoundary: (svma: number) => boolean,
): HookScore {
  const own = (one: Plan) => one.probes.filter((probe) => probe.hook === hook);
  const sites = own(plan);
  const code = trueHook(hook)?.functions.flatMap((id) => truth.get(id) ?? []) ?? [];
  const judged = sites.map((site) => ({ site, problem: problemOf(site, own(named), code, isBoundary) }));
  const right = judged.filter(({ problem }) => problem === undefined).map(({ site }) => site);
  return {
    hook,
    right: right.length,
    missed: missedPlaces(hook, right, own(named), code),
    wrong: judged.flatMap(({ site, problem }) => (problem ? [`${describe(site)}: ${problem}`] : [])),
    evidence: [...new Set(sites.map(({ evidence }) => evidence.replace(/\d+/g, 'n')))],
    reasons: plan.missing.filter((one) => one.hook === hook).map(({ reason }) => reason),
  };
}

const describe = (site: ProbeSite): string =>
  `${site.hook} at 0x${site.svma.toString(16)} (${site.instruction})`;

function problemOf(
  site: ProbeSite,
  named: readonly ProbeSite[],
  code: readonly TrueCode[],
  isBoundary: (svma: number) => boolean,
): string | undefined {
  if (trueHook(site.hook) === undefined) return 'nobody has said yet where such sites belong';
  if (!isBoundary(site.svma)) return 'not an instruction of the function around it';
  const around = code.filter((one) => holds(one, site.svma));
  if (around.length === 0) return 'not in the code of its function';
  const same = named.find(({ svma }) => svma === site.svma);
  if (same && !sameOperands(same, site))
    return `other operands than by names: ${operands(site)}, ${operands(same)}`;
  const entry = site.svma - site.functionOffset;
  if (site.functionOffset > 0 || same) return undefined;
  return around.some(({ ranges, inlinedInto }) => !inlinedInto && ranges[0]?.start === entry)
    ? undefined
    : 'taken for the entry of its function, which it is not';
}

const holds = ({ ranges }: TrueCode, address: number): boolean =>
  ranges.some(({ start, end }) => address >= start && address < end);

const operands = ({ program, register, offset }: ProbeSite): string =>
  `${program}, register ${register ?? 'none'}, offset ${offset ?? 'none'}`;

const sameOperands = (a: ProbeSite, b: ProbeSite): boolean => operands(a) === operands(b);

/** Places without a right site. */
function missedPlaces(
  hook: string,
  right: readonly ProbeSite[],
  named: readonly ProbeSite[],
  code: readonly TrueCode[],
): number {
  if (trueHook(hook)?.any === true) return right.length === 0 && code.length > 0 ? 1 : 0;
  const places = named.length > 0 ? wholeFunctions(named, code) : outermost(code);
  return places.filter((place) => !right.some(({ svma }) => holds(place, svma))).length;
}

/** The code around the sites that names lead to. */
function wholeFunctions(named: readonly ProbeSite[], code: readonly TrueCode[]): readonly TrueCode[] {
  const around = named.map(({ svma }) => code.find((one) => holds(one, svma)));
  return [...new Set(around.filter((one) => one !== undefined))];
}

/** A copy inside a copy of the same function is one place. */
function outermost(code: readonly TrueCode[]): readonly TrueCode[] {
  return code.filter(
    (one, index) => !code.some((other, at) => at !== index && isInside(one, other, at < index)),
  );
}

function isInside(one: TrueCode, other: TrueCode, isEarlier: boolean): boolean {
  const inside = one.ranges.every(({ start }) => holds(other, start));
  return inside && (isEarlier || !other.ranges.every(({ start }) => holds(one, start)));
}
