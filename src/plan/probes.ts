import type { BinaryFacts, CodeReader, FunctionFact } from '../analysis/facts.ts';
import { fileOffset, svma } from '../base/address.ts';
import { type Hook, hasSymbols } from '../libraries/library.ts';
import { chooseSite, type Site } from '../x86/site.ts';
import type { MissingHook, ProbeSite } from './plan.ts';

export interface HookSites {
  readonly probes: readonly ProbeSite[];
  readonly missing: readonly MissingHook[];
}

/** Code read for a function whose symbol has no size. */
export const UNKNOWN_SIZE_WINDOW = 256;
/** Real functions stay far below both; a hostile symbol table must not cost seconds of decoding. */
export const MAX_FUNCTION_SIZE = 1 << 18;
const MAX_FUNCTIONS = 8;

/** One site in each function that answers the hook, or the reason why there is none. */
export function hookSites(hook: Hook, facts: BinaryFacts, readCode: CodeReader): HookSites {
  return sitesIn(hook, facts.functions[hook.query] ?? [], facts, readCode);
}

/** The same for functions chosen by the caller. */
export function sitesIn(
  hook: Hook,
  found: readonly FunctionFact[],
  facts: BinaryFacts,
  readCode: CodeReader,
): HookSites {
  const functions = distinct(found);
  if (functions.length === 0)
    return { probes: [], missing: [{ hook: hook.name, reason: whyNoFunction(facts, hook.query) }] };
  const limit = hook.limit ?? MAX_FUNCTIONS;
  if (functions.length > limit) {
    const reason = `${functions.length} functions are named ${functions[0]?.name}, more than ${limit}`;
    return { probes: [], missing: [{ hook: hook.name, reason }] };
  }
  const sites = functions.map((one) => siteIn(one, hook, readCode));
  return {
    probes: sites.flatMap((site) => ('reason' in site ? [] : [site])),
    missing: sites.flatMap((site) => ('reason' in site ? [site] : [])),
  };
}

function siteIn(one: FunctionFact, hook: Hook, readCode: CodeReader): ProbeSite | MissingHook {
  const size = Math.min(one.size === 0 ? UNKNOWN_SIZE_WINDOW : one.size, MAX_FUNCTION_SIZE);
  const code = readCode(one.svma, size);
  if (!code) return { hook: hook.name, reason: `the code of ${one.name} is not in the file` };
  const site = chooseSite(code, one.size, hook.arguments);
  if ('reason' in site) return { hook: hook.name, reason: `no site in ${one.name}: ${site.reason}` };
  return {
    hook: hook.name,
    program: hook.program,
    ...placeOf(site, code, one.name),
    evidence: `${originOf(one)}, ${one.size} bytes`,
  };
}

/** Of an instruction in a function's code: what a probe's site says of its place. */
export function placeOf({ offset, instruction, cost }: Site, code: Code, functionName: string): Place {
  return {
    svma: svma(code.svma + offset),
    fileOffset: fileOffset(code.fileOffset + offset),
    ...{ functionName, functionOffset: offset, instruction, cost },
  };
}

type Code = NonNullable<ReturnType<CodeReader>>;
type Place = Pick<
  ProbeSite,
  'svma' | 'fileOffset' | 'functionName' | 'functionOffset' | 'instruction' | 'cost'
>;

const SOURCES = { symtab: '.symtab', dynsym: '.dynsym', 'debug-file': 'debug file' } as const;

/** Where a function is known from. */
export function originOf({ source, evidence }: FunctionFact, noun: 'symbol' | 'symbols' = 'symbol'): string {
  return source === 'recovered' ? `no ${noun}, but ${evidence}` : `${SOURCES[source]} ${noun}`;
}

/** Identical functions that the linker folded into one have several names: one probe. */
export function distinct(functions: readonly FunctionFact[]): readonly FunctionFact[] {
  return functions.filter((one, index) => functions.findIndex((other) => other.svma === one.svma) === index);
}

/** `query`: of the function that is missing. */
export function whyNoFunction(facts: BinaryFacts, query: string): string {
  if (!hasSymbols(facts)) {
    const stripped = 'the program is stripped (no .symtab) and no separate debug file was found';
    const reason = facts.recovered.problem ?? facts.recovered.missing[query];
    return reason === undefined ? stripped : `${stripped}; ${reason}`;
  }
  return 'no such function: inlined (fat link-time optimisation), or the program does not use it';
}
