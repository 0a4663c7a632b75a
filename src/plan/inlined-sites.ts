import type { BinaryFacts, CodeReader, SiteFact } from '../analysis/facts.ts';
import { FunctionDecoder } from '../x86/instruction.ts';
import { chooseSite, type NoSite, type Site } from '../x86/site.ts';
import { isEmulated } from '../x86/uprobe.ts';
import type { ProbeSite, ProgramName } from './plan.ts';
import { type HookSites, MAX_FUNCTION_SIZE, originOf, placeOf } from './probes.ts';

export interface InlinedHook {
  readonly hook: string;
  readonly query: string;
  /** At the entry of a function that is given what the hook wants. */
  readonly program: ProgramName;
  /** Inside a function; without one there is none for such sites. */
  readonly inside?: ProgramName;
}

/** Sites where what the query names is inlined into other functions. */
export function inlinedSites(inlined: InlinedHook, facts: BinaryFacts, readCode: CodeReader): HookSites {
  const { hook, query } = inlined;
  const found = (facts.recovered.sites[query] ?? []).map((fact) => probeAt(fact, inlined, readCode));
  return {
    probes: found.flatMap((one) => ('reason' in one ? [] : [one])),
    missing: found.flatMap((one) => ('reason' in one ? [{ hook, reason: one.reason }] : [])),
  };
}

/** Those of the function itself, and those where it is inlined. */
export function alsoInlined(
  own: HookSites,
  hook: InlinedHook,
  facts: BinaryFacts,
  readCode: CodeReader,
): HookSites {
  const inlined = inlinedSites(hook, facts, readCode);
  if (inlined.probes.length + inlined.missing.length === 0) return own;
  if (own.probes.length === 0) return inlined;
  return { probes: [...own.probes, ...inlined.probes], missing: [...own.missing, ...inlined.missing] };
}

/** Offsets in cookies have 16 bits. */
const MAX_OFFSET = 0x7fff;

function probeAt(
  { function: host, offset, arguments: wanted = [], register, displacement }: SiteFact,
  { hook, program: entry, inside }: InlinedHook,
  readCode: CodeReader,
): ProbeSite | NoSite {
  const code = host.size > MAX_FUNCTION_SIZE ? undefined : readCode(host.svma, host.size);
  if (!code || code.bytes.length < host.size)
    return { reason: `the code of ${host.name} is not in the file` };
  if (Math.abs(displacement) > MAX_OFFSET) return { reason: `the frame of ${host.name} is too large` };
  const program = offset === 0 ? entry : inside;
  if (program === undefined) return { reason: `it is inlined into ${host.name}` };
  const site = offset === 0 ? chooseSite(code, host.size, wanted) : siteAt(code, offset);
  if ('reason' in site) return { reason: `no site in ${host.name}: ${site.reason}` };
  return {
    hook,
    program,
    ...placeOf(site, code, host.name),
    register,
    offset: 0 - displacement,
    evidence: `${originOf(host)}, ${host.size} bytes`,
  };
}

/** The instruction at an offset, if there is one that can be probed. */
function siteAt(code: NonNullable<ReturnType<CodeReader>>, offset: number): Site | NoSite {
  using decoder = new FunctionDecoder(code);
  for (let one = decoder.next(); one && one.offset <= offset; one = decoder.next()) {
    if (one.flow === 'invalid') break;
    if (one.offset !== offset) continue;
    if (!decoder.probeable(one.bytes)) return { reason: `${decoder.text()} can't be probed` };
    const cost = isEmulated(one.bytes) ? 'emulated' : 'single-stepped';
    return { offset, instruction: decoder.text(), cost };
  }
  return { reason: `its byte ${offset} is not the start of an instruction` };
}
