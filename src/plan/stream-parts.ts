import type { BinaryFacts, CodeReader, FunctionFact } from '../analysis/facts.ts';
import {
  HANDLE_SIZE,
  hasH2,
  IN_REGISTERS,
  REF_SEND_TRAILERS,
  SEND_REQUEST,
  SEND_TRAILERS,
  STREAM_HOOKS,
  type StreamHook,
  TAKE_REQUEST,
} from '../libraries/h2/h2.ts';
import { type FoundStreamLayout, streamLayout } from '../libraries/h2/layout.ts';
import { type Found, hasCrate, hasFunction } from '../libraries/library.ts';
import { hasTonicClient, tonic } from '../libraries/tonic/tonic.ts';
import { argumentFlow } from '../x86/argument-flow.ts';
import { inlinedSites } from './inlined-sites.ts';
import type { Datum, MissingHook, SourceChoice, Tier } from './plan.ts';
import { distinct, type HookSites, hookSites, MAX_FUNCTION_SIZE, sitesIn } from './probes.ts';

/** Everything HTTP/2 and gRPC look for, found or not. */
export interface StreamParts {
  readonly linked: boolean;
  /** Sides of which there is code; both where no symbol tells. */
  readonly serves: boolean;
  readonly calls: boolean;
  readonly streams: HookSites;
  readonly take: HookSites;
  /** Of clients. */
  readonly request: HookSites;
  readonly channel: boolean;
  readonly call: HookSites;
  readonly drop: HookSites;
  readonly layout: Found<FoundStreamLayout>;
}

export function streamParts(facts: BinaryFacts, readCode: CodeReader): StreamParts {
  const layout = streamLayout(facts);
  const [call, drop] = tonic.hooks.map((hook) => hookSites(hook, facts, readCode));
  const [serves, calls] = [hasFunction(facts, 'h2.server'), hasFunction(facts, 'h2.client')];
  return {
    linked: hasH2(facts) || hasCrate(facts, 'h2'),
    serves: serves || !calls,
    calls: calls || !serves,
    streams: joined([
      ...STREAM_HOOKS.map((hook) => sitesOf(hook, facts, readCode, foundValue(layout)?.innerStore)),
      trailerSites(layout, facts, readCode),
    ]),
    take: takeSites(layout, facts, readCode),
    request: sitesOf(SEND_REQUEST, facts, readCode),
    channel: hasTonicClient(facts),
    call: call ?? NOTHING,
    drop: drop ?? NOTHING,
    layout,
  };
}

/** Where the function that knows the frame is inlined for some type of body, its caller: one of each type. */
function trailerSites(layout: Found<FoundStreamLayout>, facts: BinaryFacts, readCode: CodeReader): HookSites {
  const offset = 'missing' in layout ? undefined : layout.value.refStore;
  const instances = ({ query }: StreamHook) => distinct(facts.functions[query] ?? []).length;
  if (offset === undefined || instances(SEND_TRAILERS) >= instances(REF_SEND_TRAILERS))
    return sitesOf(SEND_TRAILERS, facts, readCode);
  const sites = sitesOf(REF_SEND_TRAILERS, facts, readCode);
  return { ...sites, probes: sites.probes.map((probe) => ({ ...probe, offset })) };
}

const NOTHING: HookSites = { probes: [], missing: [] };

const foundValue = <T>(found: Found<T>): T | undefined => ('missing' in found ? undefined : found.value);

/** Inlined into StreamRef's, or what has that inside. */
function takeSites(layout: Found<FoundStreamLayout>, facts: BinaryFacts, readCode: CodeReader): HookSites {
  const own = sitesOf(TAKE_REQUEST, facts, readCode);
  if (own.probes.length > 0) return own;
  const { name: hook, query, program } = TAKE_REQUEST;
  const found = inlinedSites({ hook, query, program, inside: program }, facts, readCode);
  const sites = fromLock(found, foundValue(layout)?.innerStore);
  return sites.probes.length > 0 ? sites : own;
}

/** Inside a function the lock is known, which the store is so far behind; Recv's reset has its own distance. */
function fromLock(sites: HookSites, innerStore: number | undefined): HookSites {
  const probes = sites.probes.flatMap((probe) => {
    if (probe.program === 'h2_recv_reset') return [probe];
    return innerStore === undefined ? [] : [{ ...probe, offset: (probe.offset ?? 0) - innerStore }];
  });
  return { ...sites, probes };
}

/** `innerStore`: from a connection's lock to its store. */
function sitesOf(hook: StreamHook, facts: BinaryFacts, readCode: CodeReader, innerStore?: number): HookSites {
  const { name, query, program } = hook;
  const inlined = inlinedSites({ hook: name, query, program, inside: program }, facts, readCode);
  if (hook.handle && inlined.probes.length > 0) return fromLock(inlined, innerStore);
  const all = facts.functions[query] ?? [];
  const locks = all.filter((one) => takesLock(hook, one, readCode, innerStore));
  if (locks.length === 0 || innerStore === undefined) return handleSites(hook, all, facts, readCode);
  const others = all.filter((one) => !locks.includes(one));
  const sites = sitesIn(hook, locks, facts, readCode);
  const register = hook.register | IN_REGISTERS;
  const probes = sites.probes.map((probe) => ({ ...probe, register, offset: 0 - innerStore }));
  const direct = { ...sites, probes };
  return others.length === 0 ? direct : joined([direct, handleSites(hook, others, facts, readCode)]);
}

/**
 * Whether a function is handed the lock that DynStreams refers to, in place of DynStreams: it looks at the lock's word and the
 * mark beside it, and at the store behind.
 */
function takesLock(
  { handle }: StreamHook,
  one: FunctionFact,
  readCode: CodeReader,
  innerStore: number | undefined,
): boolean {
  const code = handle && one.size <= MAX_FUNCTION_SIZE ? readCode(one.svma, one.size) : undefined;
  const behind = handle && code ? argumentFlow(code).behind.get(handle) : undefined;
  if (!behind || innerStore === undefined) return false;
  const isInStore = (place: number) => place >= innerStore && place < innerStore + STORE_SIZE;
  return [0, POISON].every((place) => behind.has(place)) && [...behind].some(isInStore);
}

/** Of `Mutex`: behind its word. */
const POISON = 4;
/** Of the slab of streams, no more. */
const STORE_SIZE = 64;

function handleSites(
  hook: StreamHook,
  all: readonly FunctionFact[],
  facts: BinaryFacts,
  readCode: CodeReader,
): HookSites {
  const taken = new Map(all.map((one) => [one, takesHandle(hook, one, readCode)]));
  const split = [...taken.values()].includes(false);
  const found = all.filter((one) => (split ? taken.get(one) === true : true));
  const [refused] = all.filter((one) => !found.includes(one));
  const reason = `${refused?.name} is handed parts of what its source says (link-time optimisation)`;
  const missing = refused ? [{ hook: hook.name, reason }] : [];
  if (refused && found.length === 0) return { probes: [], missing };
  const sites = sitesIn(hook, found, facts, readCode);
  const probes = sites.probes.map((probe) => ({ ...probe, register: hook.register }));
  return { probes, missing: [...sites.missing, ...missing] };
}

/**
 * LLVM may hand a function the members of a structure in place of a reference to it: `lto = "fat"` does so with
 * DynStreams, whose first word is then the argument itself. Undefined where the code doesn't tell.
 */
function takesHandle({ handle }: StreamHook, one: FunctionFact, readCode: CodeReader): boolean | undefined {
  const code = handle && one.size <= MAX_FUNCTION_SIZE ? readCode(one.svma, one.size) : undefined;
  const behind = handle && code ? argumentFlow(code).behind.get(handle) : undefined;
  return behind ? behind.has(0) && [...behind].every((place) => place < HANDLE_SIZE) : undefined;
}

export function streamSources(parts: StreamParts, facts: BinaryFacts, tier: Tier): readonly SourceChoice[] {
  const problem = streamProblem(parts, tier);
  const source = (datum: Datum, used: boolean, what: string, otherwise: string): SourceChoice => {
    if (problem) return { datum, source: 'none', reason: problem };
    return used ? { datum, source: 'library', reason: what } : { datum, source: 'none', reason: otherwise };
  };
  return [
    source(
      'http2.server',
      parts.serves,
      'h2 gives each stream its decoded headers, above TLS',
      'only the client side of h2 is linked',
    ),
    source(
      'http2.client',
      parts.calls,
      'h2 is given the headers of each stream, above TLS',
      'only the server side of h2 is linked',
    ),
    callSource(parts, facts, problem),
  ];
}

/** Why streams can't be followed, or undefined when what matters is there. */
function streamProblem(parts: StreamParts, tier: Tier): string | undefined {
  if (!parts.linked) return 'h2 was not found in it';
  if (tier === 'socket') return 'the socket tier was asked for, and HTTP/2 is not read from sockets';
  const lacking = lackingHook(parts, NEEDED);
  if (lacking) return `${lacking.hook} not found: ${lacking.reason}`;
  return 'missing' in parts.layout ? parts.layout.missing : undefined;
}

/** Without one of these no span of either side begins or ends as it should. */
const NEEDED = ['h2.recv_headers', 'h2.send_headers'];
/** A program that has none of these makes no connection of h2, which is linked into many. */
const SIGNS = ['h2.recv_reset', 'h2.closed', 'h2.go_away'];

/** The first of the hooks that has no site, and why. */
function lackingHook({ streams }: StreamParts, hooks: readonly string[]): MissingHook | undefined {
  const name = hooks.find((hook) => !streams.probes.some((probe) => probe.hook === hook));
  if (name === undefined) return undefined;
  return streams.missing.find(({ hook }) => hook === name) ?? { hook: name, reason: 'no site' };
}

function callSource(parts: StreamParts, facts: BinaryFacts, problem: string | undefined): SourceChoice {
  const datum = 'rpc.call';
  const none = (reason: string): SourceChoice => ({ datum, source: 'none', reason });
  if (!hasCrate(facts, 'tonic') && !parts.channel) return none('tonic was not found in it');
  if (problem) return none(problem);
  if (parts.call.probes.length === 0)
    return none(`tonic.call not found: ${parts.call.missing[0]?.reason ?? 'no site'}`);
  const ends = parts.drop.probes.length > 0 ? '; calls that reach no connection end with its future' : '';
  return {
    datum,
    source: 'library',
    reason: `each gRPC call is seen in its caller's task, where tonic's Channel takes it${ends}`,
  };
}

/**
 * Hooks that the sources read from. `contexts`: calls or routes are followed, so requests need their task; `hyper`: calls
 * of hyper's clients are.
 */
export function usedStreamHooks(
  parts: StreamParts,
  sources: readonly SourceChoice[],
  { contexts, hyper }: { readonly contexts: boolean; readonly hyper: boolean },
): HookSites['probes'] {
  const from = (wanted: Datum) =>
    sources.some(({ datum, source }) => datum === wanted && source === 'library');
  const [serves, calls, rpc] = [from('http2.server'), from('http2.client'), from('rpc.call')];
  return [
    ...(serves || calls ? parts.streams.probes : []),
    ...(serves && contexts ? parts.take.probes : []),
    ...(calls && hyper ? parts.request.probes : []),
    ...(rpc ? [...parts.call.probes, ...parts.drop.probes] : []),
  ];
}

/** Only what this program would have needed. */
export function missingStreamHooks(
  parts: StreamParts,
  facts: BinaryFacts,
  tier: Tier,
): readonly MissingHook[] {
  if (!parts.linked || tier === 'socket') return [];
  const unused = lackingHook(parts, NEEDED);
  if (unused && !parts.streams.probes.some(({ hook }) => SIGNS.includes(hook))) return [unused];
  const layout = 'missing' in parts.layout ? [{ hook: 'h2.layout', reason: parts.layout.missing }] : [];
  const rpc = parts.calls && hasCrate(facts, 'tonic') ? [...parts.call.missing, ...parts.drop.missing] : [];
  return [...parts.streams.missing, ...(parts.serves ? parts.take.missing : []), ...rpc, ...layout];
}

const joined = (found: readonly HookSites[]): HookSites => ({
  probes: found.flatMap(({ probes }) => probes),
  missing: found.flatMap(({ missing }) => missing),
});
