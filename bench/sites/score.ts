import type { Plan, ProbeSite } from '../../src/plan/plan.ts';
import { type TrueCode, type TrueHook, type Truth, trueHook, wantedHooks } from './truth.ts';

/** What came of one hook in one program. */
export interface HookScore {
  readonly hook: string;
  /** Right sites. */
  readonly right: number;
  /** The code of the hook: functions and their copies inside others. */
  readonly places: number;
  /** Places without a right site. */
  readonly missed: readonly string[];
  readonly wrong: readonly string[];
  /** How the sites were found, each once. */
  readonly evidence: readonly string[];
  /** Why places were missed, as the plan says. */
  readonly reasons: readonly string[];
}

/** What sites are held against. */
export interface Standard {
  readonly truth: Truth;
  /** The plan of the same program with symbols: where both have a site, its operands must be the same. */
  readonly named: Plan;
  /** Whether the address is an instruction of the function around it. */
  readonly isBoundary: (svma: number) => boolean;
}

export function scoreSites(plan: Plan, standard: Standard): readonly HookScore[] {
  const hooks = new Set([...wantedHooks(standard.truth), ...plan.probes.map(({ hook }) => hook)]);
  return [...hooks].sort().map((hook) => scoreHook(hook, plan, standard));
}

function scoreHook(hook: string, plan: Plan, standard: Standard): HookScore {
  const sites = plan.probes.filter((probe) => probe.hook === hook);
  const judged = sites.map((site) => ({ site, problem: problemOf(site, standard) }));
  const right = judged.filter(({ problem }) => problem === undefined).map(({ site }) => site);
  return {
    hook,
    right: right.length,
    ...placesOf(hook, right, standard.truth),
    wrong: judged.flatMap(({ site, problem }) => (problem ? [`${describe(site)}: ${problem}`] : [])),
    evidence: [...new Set(sites.map(({ evidence }) => evidence.replace(/\d+/g, 'n')))],
    reasons: plan.missing.filter((one) => one.hook === hook).map(({ reason }) => reason),
  };
}

const describe = (site: ProbeSite): string =>
  `${site.hook} at 0x${site.svma.toString(16)} (${site.instruction})`;

function problemOf(site: ProbeSite, { truth, named, isBoundary }: Standard): string | undefined {
  const wanted = trueHook(site.hook);
  if (wanted === undefined) return 'nobody has said yet where such sites belong';
  if (!isBoundary(site.svma)) return 'not an instruction of the function around it';
  const around = [...codeOf(wanted.functions, truth), ...throughCode(wanted, truth)].filter((one) =>
    holds(one, site.svma),
  );
  if (around.length === 0) return 'not in the code of its function';
  const same = named.probes.find(({ hook, svma }) => hook === site.hook && svma === site.svma);
  if (same) return operands(same) === operands(site) ? undefined : differs(site, same);
  const entry = site.svma - site.functionOffset;
  const isEntry = around.some(({ ranges, inlinedInto }) => !inlinedInto && ranges[0]?.start === entry);
  return site.functionOffset > 0 || isEntry
    ? undefined
    : 'taken for the entry of its function, which it is not';
}

const codeOf = (functions: readonly string[], truth: Truth): readonly TrueCode[] =>
  functions.flatMap((id) => truth.get(id) ?? []);

/** Functions around copies of a hook's functions that hand on what these want. */
function throughCode({ functions, through = [] }: TrueHook, truth: Truth): readonly TrueCode[] {
  const copies = codeOf(functions, truth).filter(({ inlinedInto }) => inlinedInto !== undefined);
  return codeOf(through, truth).filter((host) => copies.some((copy) => lies(copy, host)));
}

const lies = (one: TrueCode, host: TrueCode): boolean => one.ranges.every(({ start }) => holds(host, start));

const holds = ({ ranges }: TrueCode, address: number): boolean =>
  ranges.some(({ start, end }) => address >= start && address < end);

const operands = ({ program, register, offset }: ProbeSite): string =>
  `${program}, register ${register ?? 'none'}, offset ${offset ?? 'none'}`;

const differs = (site: ProbeSite, named: ProbeSite): string =>
  `other operands than by names: ${operands(site)}, not ${operands(named)}`;

/** Of alternatives the one that the sites cover best. */
function placesOf(
  hook: string,
  right: readonly ProbeSite[],
  truth: Truth,
): Pick<HookScore, 'places' | 'missed'> {
  const wanted = trueHook(hook) ?? { functions: [] };
  const { functions, alternatives } = wanted;
  const hosts = throughCode(wanted, truth);
  const of = (ids: readonly string[]) => {
    const places = outermost(codeOf(ids, truth));
    const missed = places.filter((place) => {
      const good = [place, ...hosts.filter((host) => lies(place, host))];
      return !right.some(({ svma }) => good.some((code) => holds(code, svma)));
    });
    return { places: places.length, missed: missed.map(placeName) };
  };
  if (!alternatives) return of(functions);
  const each = functions.filter((id) => truth.has(id)).map((id) => of([id]));
  return each.sort((a, b) => a.missed.length - b.missed.length)[0] ?? { places: 0, missed: [] };
}

const placeName = ({ name, inlinedInto }: TrueCode): string =>
  inlinedInto ? `inlined into ${inlinedInto}` : `a function: ${name}`;

/** A copy inside a copy of the same function is one place. */
function outermost(code: readonly TrueCode[]): readonly TrueCode[] {
  return code.filter(
    (one, at) => !code.some((other, index) => index !== at && isInside(one, other, index < at)),
  );
}

/** Of two with the same code the earlier one stays. */
function isInside(one: TrueCode, other: TrueCode, isEarlier: boolean): boolean {
  return lies(one, other) && (isEarlier || !lies(other, one));
}
