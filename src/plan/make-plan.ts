import type { BinaryFacts, CodeReader } from '../analysis/facts.ts';
import { UserError } from '../base/errors.ts';
import { routeTable } from '../libraries/axum/axum.ts';
import { hyperLayout } from '../libraries/hyper/hyper.ts';
import { crateList, HOOKS, recognise } from '../libraries/index.ts';
import { type Found, hasCrate, hasFunction, hasSymbols } from '../libraries/library.ts';
import { hasClientCrate, mayCommunicate } from '../libraries/network.ts';
import { type TlsEvidence, tlsClients, tlsServers } from '../libraries/tls/tls.ts';
import { taskSlot } from '../libraries/tokio/task-slot.ts';
import { type ClientParts, clientParts } from './client-parts.ts';
import { injectionSites } from './injection-sites.ts';
import { alsoInlined, type InlinedHook } from './inlined-sites.ts';
import type {
  BinaryLayout,
  ClientLayout,
  Datum,
  MissingHook,
  Plan,
  ProbeSite,
  RouteTableLayout,
  SourceChoice,
  StreamLayout,
  TaskSlot,
  Tier,
} from './plan.ts';
import { type HookSites, hookSites } from './probes.ts';
import {
  missingStreamHooks,
  type StreamParts,
  streamParts,
  streamSources,
  usedStreamHooks,
} from './stream-parts.ts';

export interface PlanInput {
  readonly facts: BinaryFacts;
  readonly readCode: CodeReader;
}

/**
 * What to do with one binary. Pure: the kernel's abilities are looked at later. Throws a UserError for what is no
 * Rust program and for one that surely uses no network.
 */
export function makePlan({ facts, readCode }: PlanInput, tier: Tier): Plan {
  checkTraceable(facts);
  const parts = collectParts(facts, readCode);
  const sources = chooseSources(parts, facts, tier);
  const fromLibrary = sources.some(
    ({ datum, source }) => datum.startsWith('http.server') && source === 'library',
  );
  const client = usedClientHooks(parts.client, sources);
  const followsCalls = client.length > 0 || makesRequests(parts, facts);
  const fromAxum = sources.some(({ datum, source }) => datum === 'http.route' && source === 'library');
  const streams = usedStreamHooks(parts.streams, sources, {
    contexts: followsCalls || fromAxum,
    hyper: client.some(({ program }) => program.startsWith('hyper_client_call')),
  });
  const clientLayout = usedClientLayout(parts.client, [...client, ...streams]);
  return {
    formatVersion: 1,
    binary: {
      buildId: facts.buildId,
      fileSize: facts.fileSize,
      rustcVersion: facts.rustc?.version,
      rustcCommit: facts.rustc?.commit,
      ...(facts.packageVersion !== undefined && { packageVersion: facts.packageVersion }),
    },
    libraries: recognise(facts),
    sources,
    probes: [
      ...(fromLibrary ? [...parts.parse.probes, ...parts.encode.probes] : []),
      ...(fromAxum ? parts.route.probes : []),
      ...client,
      ...streams,
      ...parts.panic.probes,
    ],
    injection: injectionSites(facts, readCode, sources, known(clientLayout)),
    ...usedLayouts({
      layout:
        fromLibrary || client.some(({ program }) => program.startsWith('hyper_client_parse'))
          ? parts.layout
          : UNUSED,
      clientLayout,
      streamLayout: streams.length > 0 ? withoutRef(parts.streams.layout) : UNUSED,
    }),
    taskSlot: known(parts.slot),
    routeTable: fromAxum ? withEvidence(parts.table) : undefined,
    missing: missingHooks(parts, facts, tier),
  };
}

function checkTraceable(facts: BinaryFacts): void {
  if (!facts.isRust) throw new UserError('Cannot plan probes: not a Rust program');
  if (mayCommunicate(facts)) return;
  const held =
    facts.crates.length > 0 ? `it holds only ${crateList(facts.crates)}` : 'it holds no crates at all';
  throw new UserError(
    `Cannot plan probes: a Rust program without any library we know and without a network socket; ${held}`,
  );
}

/** Everything that was looked for, found or not, before the tier decides what is used. */
interface Parts {
  readonly parse: HookSites;
  readonly encode: HookSites;
  readonly route: HookSites;
  readonly panic: HookSites;
  readonly layout: Found<BinaryLayout>;
  readonly table: Found<Omit<RouteTableLayout, 'evidence'>>;
  readonly slot: Found<TaskSlot>;
  readonly tls: readonly TlsEvidence[];
  readonly client: ClientParts;
  readonly streams: StreamParts;
  readonly tlsClients: readonly TlsEvidence[];
}

const INLINED_PARSE: InlinedHook = {
  hook: 'hyper.server.parse',
  query: 'hyper.server.parse',
  program: 'hyper_server_parse',
  inside: 'hyper_server_parse_at',
};

const INLINED_ENCODE: InlinedHook = {
  hook: 'hyper.server.encode',
  query: 'hyper.server.encode',
  program: 'hyper_server_write_head',
};
const INLINED_ROUTE: InlinedHook = {
  hook: 'axum.set_matched_path',
  query: 'axum.set_matched_path',
  program: 'axum_set_matched_path_at',
  inside: 'axum_set_matched_path_at',
};

function collectParts(facts: BinaryFacts, readCode: CodeReader): Parts {
  const sitesOf = (name: string): HookSites => {
    const found = HOOKS.filter((hook) => hook.name === name).map((hook) => hookSites(hook, facts, readCode));
    return {
      probes: found.flatMap(({ probes }) => probes),
      missing: found.flatMap(({ missing }) => missing),
    };
  };
  return {
    parse: alsoInlined(sitesOf('hyper.server.parse'), INLINED_PARSE, facts, readCode),
    encode: alsoInlined(sitesOf('hyper.server.encode'), INLINED_ENCODE, facts, readCode),
    route: alsoInlined(sitesOf('axum.set_matched_path'), INLINED_ROUTE, facts, readCode),
    panic: sitesOf('std.rust_panic'),
    layout: hyperLayout(facts),
    table: routeTable(facts),
    slot: taskSlot(facts),
    tls: tlsServers(facts),
    client: clientParts(facts, readCode),
    streams: streamParts(facts, readCode),
    tlsClients: tlsClients(facts),
  };
}

function chooseSources(parts: Parts, facts: BinaryFacts, tier: Tier): readonly SourceChoice[] {
  return [
    plaintextSource(parts, facts, tier),
    tlsSource(parts, facts, tier),
    routeSource(parts, facts),
    ...clientSources(parts, facts, tier),
    ...streamSources(parts.streams, facts, tier),
    taskSource(parts),
    spawnSource(parts, facts),
    panicSource(parts),
  ];
}

/** Why hyper's hooks can't be used, or undefined when all is there. */
function hyperProblem(parts: Parts, facts: BinaryFacts): string | undefined {
  const lacking = [...parts.parse.missing, ...parts.encode.missing];
  if (parts.parse.probes.length === 0 || parts.encode.probes.length === 0) {
    if (!hasCrate(facts, 'hyper') && !hasFunction(facts, 'hyper.server.parse'))
      return 'hyper was not found in it';
    return `${lacking.map(({ hook }) => hook).join(' and ')} not found: ${lacking[0]?.reason ?? 'no site'}`;
  }
  if (lacking[0]) return lacking[0].reason;
  if (hasTwoKeys(parts.parse, parts.encode)) return TWO_KEYS;
  return 'missing' in parts.layout ? parts.layout.missing : undefined;
}

const TWO_KEYS =
  'its encoder is inlined and its parser is not: what names a connection at one is not seen at the other';

/** A parser that is a function has the pointer to the method, and `write_head` with the encoder inside has the Conn. */
const hasTwoKeys = (parse: HookSites, encode: HookSites): boolean =>
  encode.probes.some(({ program }) => program.endsWith('write_head')) &&
  parse.probes.some(({ program }) => program.endsWith('_parse'));

function plaintextSource(parts: Parts, facts: BinaryFacts, tier: Tier): SourceChoice {
  const datum = 'http.server.plaintext';
  if (tier !== 'library')
    return {
      datum,
      source: 'socket',
      reason: 'read from the sockets, as for any HTTP/1 server: no probe needed',
    };
  const problem = hyperProblem(parts, facts);
  if (problem) return { datum, source: 'none', reason: `the library tier was asked for, but ${problem}` };
  return { datum, source: 'library', reason: "the library tier was asked for: hyper's parse and encode" };
}

function tlsSource(parts: Parts, facts: BinaryFacts, tier: Tier): SourceChoice {
  const datum = 'http.server.tls';
  const none = (reason: string): SourceChoice => ({ datum, source: 'none', reason });
  if (tier === 'socket') return none('the socket tier was asked for, and it sees only encrypted bytes');
  const names = parts.tls.map(({ name }) => name).join(' and ');
  const problem = hyperProblem(parts, facts);
  if (names === '' && hasSymbols(facts)) return none('no TLS server library is linked');
  if (names === '') return none(`it is stripped, and no code of a TLS server was recognised`);
  if (problem) return none(`${names} is linked, but ${problem}`);
  return {
    datum,
    source: 'library',
    reason: `${names} is linked as a server, and hyper's parse and encode lie above it`,
  };
}

function routeSource(parts: Parts, facts: BinaryFacts): SourceChoice {
  const datum = 'http.route';
  const none = (reason: string): SourceChoice => ({ datum, source: 'none', reason });
  if (!usesAxum(facts)) return none('no web framework whose routes can be read (axum) was found');
  if (parts.route.probes.length === 0) return none(parts.route.missing[0]?.reason ?? 'no site');
  if ('missing' in parts.table) return none(parts.table.missing);
  if ('missing' in parts.slot) return none(`a route belongs to a Tokio task, and ${parts.slot.missing}`);
  return { datum, source: 'library', reason: "axum's own template, from set_matched_path_for_request" };
}

const usesAxum = (facts: BinaryFacts): boolean =>
  hasCrate(facts, 'axum') || hasFunction(facts, 'axum.set_matched_path');

function taskSource({ slot }: Parts): SourceChoice {
  const datum = 'tokio.task';
  if ('missing' in slot) return { datum, source: 'none', reason: slot.missing };
  return {
    datum,
    source: 'tls-slot',
    reason: `Tokio ${slot.value.tokioVersion} keeps the running task in its CONTEXT`,
  };
}

function panicSource({ panic }: Parts): SourceChoice {
  const datum = 'panic';
  if (panic.probes.length === 0)
    return { datum, source: 'none', reason: panic.missing[0]?.reason ?? 'no site' };
  return { datum, source: 'library', reason: "std's rust_panic" };
}

/** Only what this program would have needed: no hyper hooks where nothing reads from them. */
function missingHooks(parts: Parts, facts: BinaryFacts, tier: Tier): readonly MissingHook[] {
  const hyperLinked = hasCrate(facts, 'hyper') || parts.parse.probes.length + parts.encode.probes.length > 0;
  const onlyCalls = parts.client.linked && parts.parse.probes.length + parts.encode.probes.length === 0;
  const serves = parts.tls.length > 0 || (hyperLinked && !onlyCalls);
  const wantsHyper = tier === 'library' || (tier === 'auto' && serves);
  const layout =
    'missing' in parts.layout && hyperLinked ? [{ hook: 'hyper.layout', reason: parts.layout.missing }] : [];
  const table = 'missing' in parts.table ? [{ hook: 'axum.route_table', reason: parts.table.missing }] : [];
  const slot = 'missing' in parts.slot ? [{ hook: 'tokio.task_slot', reason: parts.slot.missing }] : [];
  return [
    ...(wantsHyper ? [...parts.parse.missing, ...parts.encode.missing, ...layout] : []),
    ...(usesAxum(facts) ? [...parts.route.missing, ...table] : []),
    ...(hasCrate(facts, 'tokio') || usesAxum(facts) ? slot : []),
    ...missingClientHooks(parts, facts, tier),
    ...missingStreamHooks(parts.streams, facts, tier),
    ...parts.panic.missing,
  ];
}

/** Why calls and the connections they are written to can't be linked, or undefined when all is there. */
function callProblem({ client }: Parts, facts: BinaryFacts): string | undefined {
  if (!client.linked && (hasSymbols(facts) || !hasClientCrate(facts)))
    return 'no client of hyper (reqwest, hyper-util) was found';
  const lacking = [client.call, client.encode].find(({ probes }) => probes.length === 0);
  if (lacking) return `${lacking.missing[0]?.hook} not found: ${lacking.missing[0]?.reason}`;
  return 'missing' in client.layout ? client.layout.missing : undefined;
}

function clientLibraryProblem(parts: Parts, facts: BinaryFacts): string | undefined {
  const problem = callProblem(parts, facts);
  if (problem) return problem;
  const { parse } = parts.client;
  if (parse.probes.length === 0) return `hyper.client.parse not found: ${parse.missing[0]?.reason}`;
  if (hasTwoKeys(parse, parts.client.encode)) return TWO_KEYS;
  return 'missing' in parts.layout ? parts.layout.missing : undefined;
}

function clientSources(parts: Parts, facts: BinaryFacts, tier: Tier): readonly SourceChoice[] {
  return [
    clientPlaintextSource(parts, facts, tier),
    clientTlsSource(parts, facts, tier),
    callSource(parts, facts),
  ];
}

function clientPlaintextSource(parts: Parts, facts: BinaryFacts, tier: Tier): SourceChoice {
  const datum = 'http.client.plaintext';
  if (tier !== 'library')
    return { datum, source: 'socket', reason: 'read from the sockets, as for any HTTP/1 client' };
  const problem = clientLibraryProblem(parts, facts);
  if (problem) return { datum, source: 'none', reason: `the library tier was asked for, but ${problem}` };
  return { datum, source: 'library', reason: "the library tier was asked for: hyper's client" };
}

function clientTlsSource(parts: Parts, facts: BinaryFacts, tier: Tier): SourceChoice {
  const datum = 'http.client.tls';
  const none = (reason: string): SourceChoice => ({ datum, source: 'none', reason });
  if (tier === 'socket') return none('the socket tier was asked for, and it sees only encrypted bytes');
  const names = parts.tlsClients.map(({ name }) => name).join(' and ');
  const problem = clientLibraryProblem(parts, facts);
  if (names === '' && hasSymbols(facts)) return none('no TLS client library is linked');
  if (names === '') return none(`it is stripped, and no code of a TLS client was recognised`);
  if (problem) return none(`${names} is linked, but ${problem}`);
  const reason = `${names} is linked as a client, and hyper's client lies above it`;
  return { datum, source: 'library', reason };
}

function callSource(parts: Parts, facts: BinaryFacts): SourceChoice {
  const datum = 'http.client.call';
  const problem = callProblem(parts, facts);
  if (problem) return { datum, source: 'none', reason: problem };
  const { call, drop } = parts.client;
  const place = call.probes[0]?.offset === undefined ? "hyper's Client" : "hyper's extract_domain";
  const ends = drop.probes.length > 0 ? '; ends without an answer from its future' : '';
  return {
    datum,
    source: 'library',
    reason: `each request is seen in its caller's task, in ${place}${ends}`,
  };
}

const makesRequests = (parts: Parts, facts: BinaryFacts): boolean =>
  parts.client.linked || hasClientCrate(facts);

/** An HTTP/2 stream is handled by a task of its own: its routes are known by that. */
const routesStreams = ({ streams, route }: Parts): boolean =>
  streams.serves && streams.take.probes.length > 0 && route.probes.length > 0;

function spawnSource(parts: Parts, facts: BinaryFacts): SourceChoice {
  const datum = 'tokio.spawn';
  const none = (reason: string): SourceChoice => ({ datum, source: 'none', reason });
  const { probes, missing } = parts.client.spawn;
  if ('missing' in parts.slot) return none(parts.slot.missing);
  if (!makesRequests(parts, facts) && !routesStreams(parts))
    return none('no HTTP client was found, so nobody asks');
  if (probes.length === 0) return none(missing[0]?.reason ?? 'no site');
  return { datum, source: 'library', reason: `Tokio draws a task id at ${probes.length} places` };
}

function usedClientHooks(client: ClientParts, sources: readonly SourceChoice[]): readonly ProbeSite[] {
  const from = (wanted: Datum) =>
    sources.some(({ datum, source }) => datum === wanted && source === 'library');
  const heads = from('http.client.tls') || from('http.client.plaintext');
  return [
    ...(from('http.client.call')
      ? [...client.call.probes, ...client.send.probes, ...client.encode.probes]
      : []),
    ...(heads ? client.parse.probes : []),
    ...(from('http.client.call')
      ? [...client.drop.probes, ...client.error.probes, ...client.blocking.probes]
      : []),
    ...(from('tokio.spawn') ? client.spawn.probes : []),
  ];
}

function usedClientLayout(parts: ClientParts, probes: readonly ProbeSite[]): Found<ClientLayout> {
  if (probes.some(({ program }) => program.startsWith('hyper_client'))) return parts.layout;
  return probes.some(({ program }) => program === 'tonic_call') ? parts.requestLayout : UNUSED;
}

const UNUSED = { missing: 'nothing reads it' };

interface Layouts {
  readonly layout: Found<BinaryLayout>;
  readonly clientLayout: Found<ClientLayout>;
  readonly streamLayout: Found<StreamLayout>;
}

function usedLayouts(layouts: Layouts): Pick<Plan, keyof Layouts | 'layoutEvidence'> {
  const evidence = Object.entries(layouts).flatMap(([key, found]) =>
    'missing' in found ? [] : [[key, found.evidence] as const],
  );
  return {
    layout: known(layouts.layout),
    clientLayout: known(layouts.clientLayout),
    streamLayout: known(layouts.streamLayout),
    layoutEvidence: Object.fromEntries(evidence),
  };
}

function missingClientHooks(parts: Parts, facts: BinaryFacts, tier: Tier): readonly MissingHook[] {
  const { client } = parts;
  if (!makesRequests(parts, facts)) return [];
  const heads = tier === 'library' || (tier === 'auto' && parts.tlsClients.length > 0);
  const layout =
    'missing' in client.layout ? [{ hook: 'hyper.client_layout', reason: client.layout.missing }] : [];
  const hyper = [
    ...client.call.missing,
    ...client.encode.missing,
    ...(heads ? client.parse.missing : []),
    ...client.drop.missing,
    ...client.error.missing,
    ...client.blocking.missing,
    ...layout,
  ];
  const spawn = hasCrate(facts, 'tokio') ? client.spawn.missing : [];
  return [...(client.linked || !hasSymbols(facts) ? hyper : []), ...spawn];
}

function withoutRef(found: StreamParts['layout']): Found<StreamLayout> {
  if ('missing' in found) return found;
  const { refStore: _, ...layout } = found.value;
  return { ...found, value: layout };
}

const known = <T>(found: Found<T>): T | undefined => ('missing' in found ? undefined : found.value);

function withEvidence(found: Found<Omit<RouteTableLayout, 'evidence'>>): RouteTableLayout | undefined {
  return 'missing' in found ? undefined : { ...found.value, evidence: found.evidence };
}
