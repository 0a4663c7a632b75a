import type { BinaryFacts, CodeReader, FunctionFact } from '../analysis/facts.ts';
import { returnSites } from '../x86/return-sites.ts';
import type { NoSite } from '../x86/site.ts';
import type { ClientLayout, Injection, ProbeSite, SourceChoice } from './plan.ts';
import { distinct, MAX_FUNCTION_SIZE, originOf, placeOf } from './probes.ts';

/** All or nothing: of an encoder with an exit that is not seen, some requests would go without. */
export function injectionSites(
  facts: BinaryFacts,
  readCode: CodeReader,
  sources: readonly SourceChoice[],
  layout: ClientLayout | undefined,
): Injection {
  const none = (missing: string): Injection => ({ sites: [], missing });
  const spans = sources.find(({ datum }) => datum === 'http.client.tls');
  if (spans?.source !== 'library' || !layout) return none(spans?.reason ?? 'nothing reads its calls');
  if (!vecMembers(layout)) return none('how a Vec lies in memory is not known');
  const encoders = distinct(facts.functions['hyper.client.encode'] ?? []);
  if (encoders.length === 0) return none("hyper's encoder is not a function of its own");
  const found = encoders.map((one) => ({ one, sites: exitsOf(one, readCode) }));
  for (const { one, sites } of found) if ('reason' in sites) return none(`${one.name}: ${sites.reason}`);
  return { sites: found.flatMap(({ sites }) => ('reason' in sites ? [] : sites)) };
}

function exitsOf(one: FunctionFact, readCode: CodeReader): readonly ProbeSite[] | NoSite {
  const { name, size } = one;
  if (size === 0 || size > MAX_FUNCTION_SIZE) return { reason: `${size} bytes of code` };
  const code = readCode(one.svma, size);
  if (!code || code.bytes.length < size) return { reason: 'its code is not in the file' };
  const sites = returnSites(code);
  if ('reason' in sites) return sites;
  return sites.map((site) => ({
    hook: 'hyper.client.encoded',
    program: 'hyper_client_encoded',
    ...placeOf(site, code, name),
    evidence: `${originOf(one)}, ${size} bytes`,
  }));
}

/** Bytes from the start of a Vec to its members. */
export interface VecMembers {
  readonly vecPointer: number;
  readonly vecLength: number;
  readonly vecCapacity: number;
}

/** All Vecs of a program lie alike: as that of a HeaderMap's entries. Undefined when it is none. */
export function vecMembers(layout: ClientLayout): VecMembers | undefined {
  const { requestEntries, requestEntriesLength, requestEntriesCapacity } = layout;
  const start = Math.min(requestEntries, requestEntriesLength, requestEntriesCapacity);
  const members = {
    vecPointer: requestEntries - start,
    vecLength: requestEntriesLength - start,
    vecCapacity: requestEntriesCapacity - start,
  };
  const places = Object.values(members).sort((a, b) => a - b);
  return places.join() === '0,8,16' ? members : undefined;
}
