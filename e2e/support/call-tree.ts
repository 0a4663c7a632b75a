import { answerProblem, type Call, type CallEnd, callsOf, shapeOf } from './calls.ts';
import { traceDifferences } from './expect.ts';
import type { LoadRecord } from './load.ts';
import type { AttributeValue, Span } from './otlp.ts';

/** Every CLIENT span is in one of these; `missing` are calls without a span. */
export interface Edges {
  right: number;
  /** Under another span than the one that made it. */
  wrong: number;
  /** Without a parent. */
  unknown: number;
  missing: number;
  /** Spans that no call of the program explains, also a second one of the same call. */
  extra: number;
}

export interface TreeOptions {
  /** `scheme://host:port` of the downstream. */
  readonly base: string;
  /** Of the calls' HTTP; 1.1 unless told. */
  readonly version?: string;
  /** Spans may lack (attached in the middle of the load), but none may be wrong. */
  readonly partial?: boolean;
  /** Calls are followed where they are written only: what never gets so far has no span. */
  readonly wireOnly?: boolean;
  /** Shapes whose calls belong to no request as far as anyone can know: no parent, or the right one. */
  readonly parentless?: readonly string[];
}

export interface Tree {
  readonly edges: Edges;
  readonly problems: string[];
}

const END_REASON = 'otel_rust.end_reason';
const SERVER = 2;
const CLIENT = 3;
/** Both ends of a span are read from one clock. */
const TIME_TOLERANCE_NS = 1_000_000n;
/** That a call was dropped is said by its HTTP/2 connection's task, which hears of it later. */
const RESET_TOLERANCE_NS = 500_000_000n;

/** Compares spans with what the program was asked for and says that it did. */
export function compareTree(
  spans: readonly Span[],
  records: readonly LoadRecord[],
  options: TreeOptions,
): Tree {
  const servers = groupBy(ofKind(spans, SERVER), (span) => String(span.attributes['url.path']));
  const clients = groupBy(ofKind(spans, CLIENT), urlOf);
  const tree: Tree = { edges: { right: 0, wrong: 0, unknown: 0, missing: 0, extra: 0 }, problems: [] };
  for (const record of records) compareRequest(tree, record, servers, clients, options);
  const left = [...clients.values()].flat().filter((span) => !isBackground(span));
  tree.edges.extra += left.length;
  for (const span of left) tree.problems.push(`extra - - -: no call has the span ${describe(span)}`);
  if (spans.length !== new Set(spans.map((span) => span.spanId)).size)
    tree.problems.push('a span id occurs again');
  const background = ofKind(spans, CLIENT).filter(isBackground);
  for (const span of background.filter((span) => span.parentSpanId !== ''))
    tree.problems.push(`background - - -: a call of no request has a parent: ${describe(span)}`);
  return tree;
}

function compareRequest(
  tree: Tree,
  record: LoadRecord,
  servers: Map<string, Span[]>,
  clients: Map<string, Span[]>,
  options: TreeOptions,
): void {
  const say = (text: string) => tree.problems.push(`${shapeOf(record)} ${record.id} - -: ${text}`);
  const answer = answerProblem(record);
  if (answer) say(answer);
  const own = servers.get(record.target) ?? [];
  servers.delete(record.target);
  const [server] = own;
  if (own.length > 1 || (own.length === 0 && !options.partial)) say(`${own.length} SERVER spans`);
  if (server) for (const text of serverProblems(server, record)) say(`the SERVER span: ${text}`);
  const calls = groupBy(callsOf(record, options.base), (call) => call.url);
  for (const [url, alike] of calls) {
    const found = take(clients, url, alike.length, shapeOf(record), server);
    compareCalls(tree, alike, found, server, say, options, shapeOf(record));
  }
}

function serverProblems(server: Span, record: LoadRecord): string[] {
  const status = server.attributes['http.response.status_code'];
  return [
    ...(status === record.status ? [] : [`status ${status}, not ${record.status}`]),
    ...traceDifferences(server, record.traceparent),
  ];
}

/** Spans of one URL; where requests share it, those under this request's span. */
function take(
  clients: Map<string, Span[]>,
  url: string,
  count: number,
  shape: string,
  server: Span | undefined,
): Span[] {
  const all = clients.get(url) ?? [];
  if (shape !== 'shareduri') {
    clients.delete(url);
    return all;
  }
  const own = all.filter((span) => span.parentSpanId === server?.spanId).slice(0, count);
  const taken = new Set(own);
  clients.set(
    url,
    all.filter((span) => !taken.has(span)),
  );
  return own;
}

function compareCalls(
  tree: Tree,
  calls: readonly Call[],
  spans: readonly Span[],
  server: Span | undefined,
  say: (text: string) => void,
  options: TreeOptions,
  shape: string,
): void {
  const { edges } = tree;
  for (const span of spans) {
    const problem = parentProblem(span, server, options, shape);
    edges[problem ?? 'right']++;
    if (problem) say(`${problem} parent: ${describe(span)}`);
  }
  // A library may try again on another connection when the one it took turns out to be closed.
  const retried = shape === 'stale';
  const lacks = calls.length - spans.length;
  const [call] = calls;
  if (!call) return;
  if (lacks > 0 && !options.partial && !(options.wireOnly && !('status' in call.end))) {
    edges.missing += lacks;
    say(`no CLIENT span of ${call.method} (${JSON.stringify(call.end)})`);
  }
  if (lacks < 0 && !retried) {
    edges.extra -= lacks;
    say(`${spans.length} CLIENT spans of ${calls.length} calls: ${spans.map(describe).join(' ')}`);
  }
  if (retried) {
    const last = spans.at(-1);
    if (last && 'status' in call.end)
      for (const text of callProblems(last, { ...call, resends: spans.length - 1 }, options)) say(text);
    return;
  }
  for (const span of spans) {
    const judged = { ...call, end: tolerated(span, call, shape, options) };
    for (const text of [...callProblems(span, judged, options), ...timeProblems(span, call, server)])
      say(text);
  }
}

/** The span's own end where it may be that one, else the call's. */
function tolerated(span: Span, call: Call, shape: string, options: TreeOptions): CallEnd {
  // Of calls with one allocation for their URL it can't be told whose response came; the agent must then say so.
  const unseen = span.attributes[END_REASON] === 'response_not_seen';
  if ((shape === 'twin' || shape === 'shareduri') && unseen) return { reason: 'response_not_seen' };
  // The task may connect for its pool at that moment: then nothing says that it was the name.
  if (shape === 'dns' && unseen) return { reason: 'response_not_seen' };
  // Of HTTP/2 calls one connects, and others wait for it.
  if (shape === 'refused' && options.version === '2' && unseen) return { reason: 'response_not_seen' };
  // After FIN the client still says good-bye in TLS, to which a server that is gone answers with RST.
  const reset = span.attributes['error.type'] === 'connection_reset';
  return shape === 'close' && call.url.startsWith('https:') && reset
    ? { error: 'connection_reset' }
    : call.end;
}

function parentProblem(
  span: Span,
  server: Span | undefined,
  options: TreeOptions,
  shape: string,
): 'wrong' | 'unknown' | undefined {
  if (span.parentSpanId === '') {
    // Its request may have come before the agent.
    return options.partial || options.parentless?.includes(shape) ? undefined : 'unknown';
  }
  const right = span.parentSpanId === server?.spanId && span.traceId === server.traceId;
  return right ? undefined : 'wrong';
}

/** What is wrong with a CLIENT span besides its parent. */
function callProblems(span: Span, call: Call, { version = '1.1' }: TreeOptions): string[] {
  const url = new URL(call.url);
  const wanted: Record<string, AttributeValue | undefined> = {
    'http.request.method': call.method,
    'server.address': url.hostname,
    'server.port': Number(url.port),
    'http.request.resend_count': call.resends === 0 ? undefined : call.resends,
    ...endAttributes(call.end),
  };
  const problems = Object.entries(wanted)
    .filter(([key, value]) => span.attributes[key] !== value)
    .map(([key, value]) => `${key} is ${JSON.stringify(span.attributes[key])}, not ${JSON.stringify(value)}`);
  if (span.name !== call.method) problems.push(`the name is ${span.name}`);
  const failed = 'error' in call.end || ('status' in call.end && call.end.status >= 400);
  if (span.statusCode !== (failed ? 2 : 0)) problems.push(`the span's status is ${span.statusCode}`);
  return [...problems, ...peerProblems(span, url, version)];
}

function endAttributes(end: CallEnd): Record<string, AttributeValue | undefined> {
  if ('status' in end)
    return {
      'http.response.status_code': end.status,
      'error.type': end.status >= 400 ? `${end.status}` : undefined,
      [END_REASON]: undefined,
    };
  return {
    'http.response.status_code': undefined,
    'error.type': 'error' in end ? end.error : undefined,
    [END_REASON]: 'error' in end ? end.error : end.reason,
  };
}

/** The other side of the connection and the version, which need not be known. */
function peerProblems(span: Span, url: URL, version: string): string[] {
  const known: Record<string, AttributeValue> = {
    'network.peer.address': url.hostname,
    'network.peer.port': Number(url.port),
    'network.protocol.version': version,
  };
  return Object.entries(known)
    .filter(([key, value]) => span.attributes[key] !== undefined && span.attributes[key] !== value)
    .map(([key]) => `${key} is ${JSON.stringify(span.attributes[key])}`);
}

/** A call lies within the request that waits for it. */
function timeProblems(span: Span, call: Call, server: Span | undefined): string[] {
  const problems: string[] = [];
  if (span.endNs < span.startNs) problems.push('it ends before it starts');
  if (!server || span.parentSpanId !== server.spanId) return problems;
  if (span.startNs < server.startNs - TIME_TOLERANCE_NS) problems.push('it starts before its parent');
  const reset =
    span.attributes['network.protocol.version'] === '2' && span.attributes[END_REASON] !== undefined;
  if (!call.outlives && span.endNs > server.endNs + (reset ? RESET_TOLERANCE_NS : TIME_TOLERANCE_NS))
    problems.push(`it ends after its parent, by ${span.endNs - server.endNs} ns`);
  return problems;
}

export const urlOf = (span: Span) => String(span.attributes['url.full']);

export const isBackground = (span: Span) => urlOf(span).includes('/d/background-');

export const ofKind = (spans: readonly Span[], kind: number) => spans.filter((span) => span.kind === kind);

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const known = groups.get(key);
    if (known) known.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

const describe = (span: Span) => `${span.name} ${JSON.stringify(span.attributes)}`;
