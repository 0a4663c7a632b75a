import type { BinaryFacts, CodeReader, FunctionFact } from '../analysis/facts.ts';
import { svma } from '../base/address.ts';
import type { RequestLayout } from '../libraries/http/http.ts';
import { requestLayout } from '../libraries/http/http.ts';
import {
  callFunctions,
  dropFunctions,
  type HookFunctions,
  hasHyperClient,
  hyperClient,
  SEND,
} from '../libraries/hyper/client.ts';
import { type HyperClientLayout, hyperClientLayout } from '../libraries/hyper/client-layout.ts';
import { type Found, hasCrate, hasFunction, hasSymbols } from '../libraries/library.ts';
import { REQUEST_POLL, requestUrl, reqwest } from '../libraries/reqwest/reqwest.ts';
import { loadSites, POINTER_REGISTERS, pointerArgument } from '../x86/address-load.ts';
import { addSites } from '../x86/atomic-add.ts';
import { stateByte } from '../x86/state-byte.ts';
import { alsoInlined, type InlinedHook, inlinedSites } from './inlined-sites.ts';
import type { ClientLayout, MissingHook, ProbeSite } from './plan.ts';
import {
  type HookSites,
  hookSites,
  MAX_FUNCTION_SIZE,
  originOf,
  placeOf,
  sitesIn,
  whyNoFunction,
} from './probes.ts';

/** Everything the client side looks for, found or not. */
export interface ClientParts {
  /** Whether hyper's client is linked, as far as symbols tell. */
  readonly linked: boolean;
  readonly call: HookSites;
  /** Nothing is missing without it but statuses of calls that share one Uri. */
  readonly send: HookSites;
  readonly encode: HookSites;
  readonly parse: HookSites;
  readonly drop: HookSites;
  /** Both ends of the way from a blocking caller to its client's thread. */
  readonly blocking: HookSites;
  /** Where a request's future makes reqwest's time-out error. */
  readonly error: HookSites;
  readonly spawn: HookSites;
  readonly layout: Found<ClientLayout>;
  /** For callers of other clients: what is of hyper's is 0 where none is linked. */
  readonly requestLayout: Found<ClientLayout>;
}

export function clientParts(facts: BinaryFacts, readCode: CodeReader): ClientParts {
  const request = requestLayout(facts);
  const url = hasFunction(facts, 'reqwest.blocking_call') ? requestUrl(facts) : undefined;
  const named = (name: string) => {
    const hook = hyperClient.hooks.find((one) => one.name === name);
    return hook ? hookSites(hook, facts, readCode) : { probes: [], missing: [] };
  };
  return {
    linked: hasHyperClient(facts),
    call: callSites(facts, readCode, request),
    send: hasCrate(facts, 'reqwest') ? { probes: [], missing: [] } : hookSites(SEND, facts, readCode),
    encode: alsoInlined(named('hyper.client.encode'), INLINED_ENCODE, facts, readCode),
    parse: alsoInlined(named('hyper.client.parse'), INLINED_PARSE, facts, readCode),
    drop: dropSites(facts, readCode),
    blocking: blockingSites(facts, readCode, url),
    error: errorSites(facts, readCode),
    spawn: spawnSites(facts, readCode),
    layout: clientLayout(hyperClientLayout(facts), request),
    requestLayout: otherLayout(facts, request),
  };
}

/** Without symbols a client of hyper may be linked that was not found. */
function otherLayout(facts: BinaryFacts, request: Found<RequestLayout>): Found<ClientLayout> {
  const none = { value: NO_HYPER, evidence: 'no client of hyper' };
  const hyper = hasSymbols(facts) ? none : hyperClientLayout(facts);
  return clientLayout('missing' in hyper ? none : hyper, request);
}

const NO_HYPER: HyperClientLayout = {
  clientEncodeHead: 0,
  clientEncodeReqMethod: 0,
  clientHeadEntries: 0,
  clientHeadPath: 0,
  clientParseReqMethod: 0,
  bytesMutPointer: 0,
  bytesMutLength: 0,
};

function clientLayout(hyper: Found<HyperClientLayout>, request: Found<RequestLayout>): Found<ClientLayout> {
  if ('missing' in hyper) return hyper;
  if ('missing' in request) return request;
  const { bytesMutPointer: _, bytesMutLength: __, ...client } = hyper.value;
  const { requestUri: ___, ...members } = request.value;
  return {
    value: { ...client, ...members },
    evidence: `${hyper.evidence}; ${request.evidence}`,
  };
}

function callSites(facts: BinaryFacts, readCode: CodeReader, request: Found<RequestLayout>): HookSites {
  const uri = 'missing' in request ? 0 : request.value.requestUri;
  const groups = callFunctions(facts);
  const inlined = inlinedSites(
    {
      hook: 'hyper.client.call',
      query: 'hyper.client.domain',
      program: 'hyper_client_call_at',
      inside: 'hyper_client_call_at',
    },
    facts,
    readCode,
  );
  if (groups.length === 0 && inlined.probes.length + inlined.missing.length > 0) return inlined;
  if (groups.length === 0) return nothing('hyper.client.call', 'hyper.client.domain', facts);
  const found = groups.map(({ hook, functions, toUri }: HookFunctions) => {
    const sites = sitesIn(hook, functions, facts, readCode);
    return toUri ? { ...sites, probes: sites.probes.map((probe) => ({ ...probe, offset: uri })) } : sites;
  });
  const unseen = groups.every(({ toUri }) => toUri) ? [] : (facts.functions['hyper.client.get'] ?? []);
  const missing = unseen.map(({ name }) => ({
    hook: 'hyper.client.call',
    reason: `${name} makes requests of its own, without a function that is handed them`,
  }));
  const all = joined(found);
  return { probes: all.probes, missing: [...all.missing, ...missing.slice(0, 1)] };
}

const INLINED_ENCODE: InlinedHook = {
  hook: 'hyper.client.encode',
  query: 'hyper.client.encode',
  program: 'hyper_client_write_head',
};
const INLINED_PARSE: InlinedHook = {
  hook: 'hyper.client.parse',
  query: 'hyper.client.parse',
  program: 'hyper_client_parse',
  inside: 'hyper_client_parse_at',
};

/** In the place of an offset: the drop glue does not tell. */
const UNKNOWN_STATE = 0xffff;

function dropSites(facts: BinaryFacts, readCode: CodeReader): HookSites {
  const groups = dropFunctions(facts);
  if (groups.length === 0) return nothing('hyper.client.drop', 'hyper.client.future', facts);
  const sites = joined(groups.map(({ hook, functions }) => sitesIn(hook, functions, facts, readCode)));
  return {
    ...sites,
    probes: sites.probes.map((probe) => ({ ...probe, offset: futureState(probe, readCode) })),
  };
}

function futureState(probe: ProbeSite, readCode: CodeReader): number {
  const code = readCode(svma(probe.svma - probe.functionOffset), FIRST_BLOCK);
  const state = code && stateByte(code);
  return state && 'offset' in state ? state.offset : UNKNOWN_STATE;
}

function blockingSites(facts: BinaryFacts, readCode: CodeReader, url: Found<number> | undefined): HookSites {
  if (url === undefined) return { probes: [], missing: [] };
  if ('missing' in url) return { probes: [], missing: [{ hook: 'reqwest.request', reason: url.missing }] };
  const sites = joined(reqwest.hooks.map((hook) => hookSites(hook, facts, readCode)));
  const probes = sites.probes.flatMap((probe) => withRequest(probe, url.value, readCode) ?? []);
  if (sites.missing.length === 0 && probes.length === sites.probes.length) return { probes, missing: [] };
  const unclear = { hook: 'reqwest.execute', reason: 'where its request is was not found in its code' };
  return { probes: [], missing: sites.missing.length > 0 ? sites.missing : [unclear] };
}

/** A blocking call gives its result, which is large, by rdi; whether the other one does depends on the version. */
function withRequest(probe: ProbeSite, offset: number, readCode: CodeReader): ProbeSite | undefined {
  if (probe.program === 'reqwest_blocking_call') return { ...probe, register: POINTER_REGISTERS.rdx, offset };
  const code = readCode(svma(probe.svma - probe.functionOffset), FIRST_BLOCK);
  const register = code && pointerArgument(code, SMALL);
  return register && { ...probe, register: POINTER_REGISTERS[register], offset };
}

const FIRST_BLOCK = 256;
/** A client is one pointer, a request is larger. */
const SMALL = 32;

function errorSites(facts: BinaryFacts, readCode: CodeReader): HookSites {
  const hook = 'reqwest.timeout';
  if (!hasFunction(facts, 'reqwest.execute')) return { probes: [], missing: [] };
  const vtables = facts.objects['reqwest.timed_out'] ?? [];
  const probes = vtables.flatMap((vtable) =>
    vtable.users
      .filter(({ name }) => REQUEST_POLL.test(name))
      .flatMap((user) => loadsIn(user, vtable.svma, readCode, hook)),
  );
  if (probes.length > 0) return { probes, missing: [] };
  const called = inlinedSites(
    { hook, query: 'reqwest.poll', program: 'reqwest_error', inside: 'reqwest_error' },
    facts,
    readCode,
  );
  if (called.probes.length > 0) return called;
  return { probes, missing: [{ hook, reason: "no code that makes reqwest's time-out error was found" }] };
}

function loadsIn(
  user: FunctionFact,
  address: number,
  readCode: CodeReader,
  hook: string,
): readonly ProbeSite[] {
  const code = user.size > MAX_FUNCTION_SIZE ? undefined : readCode(user.svma, user.size);
  if (!code) return [];
  return loadSites(code, address).map((site) => ({
    hook,
    program: 'reqwest_error' as const,
    ...placeOf(site, code, user.name),
    evidence: `loads the vtable of TimedOut, ${originOf(user, 'symbols')}`,
  }));
}

/** Variables of this many functions are looked at; a program with more is a hostile one. */
const MAX_SPAWNERS = 2048;

/** Behind each place where a task's id is drawn. */
function spawnSites(facts: BinaryFacts, readCode: CodeReader): HookSites {
  const hook = 'tokio.task_new';
  const missing = (reason: string): HookSites => ({ probes: [], missing: [{ hook, reason }] });
  const [counter, ...others] = facts.objects['tokio.next_id'] ?? [];
  if (!counter)
    return missing(
      hasSymbols(facts) ? "Tokio's counter of task ids was not found" : whyNoFunction(facts, 'tokio.next_id'),
    );
  if (others.length > 0) return missing('several versions of Tokio are linked');
  if (counter.users.length > MAX_SPAWNERS)
    return missing(`${counter.users.length} functions use the counter, more than ${MAX_SPAWNERS}`);
  const found = counter.users.map((user) => spawnsIn(user, counter, readCode, hook));
  const all = joined(found);
  return all.probes.length + all.missing.length > 0 ? all : missing('no code that draws a task id was found');
}

function spawnsIn(
  user: FunctionFact,
  counter: { readonly svma: number; readonly pointers: readonly number[] },
  readCode: CodeReader,
  hook: string,
): HookSites {
  const missing = (reason: string): HookSites => ({ probes: [], missing: [{ hook, reason }] });
  if (user.size > MAX_FUNCTION_SIZE) return missing(`${user.name} has ${user.size} bytes of code`);
  const code = readCode(user.svma, user.size);
  if (!code || code.bytes.length < user.size) return missing(`the code of ${user.name} is not in the file`);
  const sites = addSites(code, counter);
  if (sites.length === 0) return missing(`${user.name} uses the counter of task ids in an unknown way`);
  return {
    probes: sites.flatMap((site) => ('reason' in site ? [] : [probeOf(site, user, code, hook)])),
    missing: sites.flatMap((site) =>
      'reason' in site ? [{ hook, reason: `${user.name}: ${site.reason}` }] : [],
    ),
  };
}

function probeOf(
  site: Exclude<ReturnType<typeof addSites>[number], { readonly reason: string }>,
  user: FunctionFact,
  code: NonNullable<ReturnType<CodeReader>>,
  hook: string,
): ProbeSite {
  return {
    hook,
    program: 'tokio_task_new',
    ...placeOf(site, code, user.name),
    register: site.register,
    evidence: `lock xadd of NEXT_ID, ${originOf(user, 'symbols')}`,
  };
}

const joined = (found: readonly HookSites[]): HookSites => ({
  probes: found.flatMap(({ probes }) => probes),
  missing: found.flatMap(({ missing }) => missing),
});

function nothing(hook: string, query: string, facts: BinaryFacts): HookSites {
  const missing: MissingHook = { hook, reason: whyNoFunction(facts, query) };
  return { probes: [], missing: [missing] };
}
