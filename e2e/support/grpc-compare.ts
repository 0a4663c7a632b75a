import type { Edges } from './call-tree.ts';
import { type ExpectedRpc, type ExpectedTree, expectedTree, loadProblem, type Ports } from './grpc-expect.ts';
import type { GrpcRecord } from './grpc-load.ts';
import type { Attributes, Span } from './otlp.ts';

export interface GrpcTruth extends Ports {
  /** Processes, by which spans are told apart. */
  readonly frontPid: number;
  /** undefined: it is not traced. */
  readonly downstreamPid: number | undefined;
  /** Addresses of sockets are known. */
  readonly plaintext: boolean;
  /** Spans may lack (attached in the middle of the load), but none may be wrong. */
  readonly partial?: boolean;
  readonly scope?: string;
}

export interface GrpcResult {
  readonly edges: Edges;
  readonly servers: number;
  readonly problems: string[];
}

const END_REASON = 'otel_rust.end_reason';
const STATUS = 'rpc.response.status_code';
const ID = 'rpc.request.metadata.x-id';
const SERVICE = 'fixture.v1.Fixture';
const KIND = { server: 2, client: 3 } as const;
/** Two clocks, converted. */
const CLOCK_TOLERANCE_NS = 5_000_000n;
/** One clock. */
const TIME_TOLERANCE_NS = 1_000_000n;
/** That a call was dropped is said by its connection's task, which hears of it later. */
const RESET_TOLERANCE_NS = 500_000_000n;

export const idOf = (span: Span) => String((span.attributes[ID] as readonly string[] | undefined)?.[0] ?? '');
export const isBackgroundCall = (span: Span) => idOf(span).startsWith('background-');

/** Compares the spans with what the load and the program say of every call. */
export function compareGrpc(
  spans: readonly Span[],
  records: readonly GrpcRecord[],
  truth: GrpcTruth,
): GrpcResult {
  const left = new Map<string, Span[]>();
  const problems: string[] = [];
  for (const span of spans) {
    const key = keyOf(span, truth);
    const known = left.get(key);
    if (known) known.push(span);
    else left.set(key, [span]);
  }
  const edges = { right: 0, wrong: 0, unknown: 0, missing: 0, extra: 0 };
  let servers = 0;
  for (const record of records) {
    const tree = expectedTree(record, truth);
    const say = (what: string) => problems.push(`${tree.shape} ${record.id} - -: ${what}`);
    const own = loadProblem(record);
    if (own) say(own);
    servers += compareTree(tree, left, truth, edges, say);
  }
  for (const span of [...left.values()].flat()) {
    edges.extra++;
    problems.push(`extra - - -: no call has the span ${describe(span)}`);
  }
  if (spans.length !== new Set(spans.map((span) => span.spanId)).size)
    problems.push('a span id occurs again');
  return { edges, servers, problems };
}

function keyOf(span: Span, { frontPid, downstreamPid }: GrpcTruth): string {
  const pid = span.resource['process.pid'];
  const where = pid === frontPid ? 'front' : pid === downstreamPid ? 'downstream' : `process ${pid}`;
  // A call that no stream has carried has no metadata: only its parent tells whose it is.
  const unsent = span.kind === KIND.client && idOf(span) === '';
  return `${where} ${span.kind} ${unsent ? `under ${span.parentSpanId}` : idOf(span)}`;
}

function compareTree(
  tree: ExpectedTree,
  left: Map<string, Span[]>,
  truth: GrpcTruth,
  edges: Edges,
  say: (what: string) => void,
): number {
  const find = (expected: ExpectedRpc) => take(expected, left, truth, say);
  const server = find(tree.request);
  if (server) {
    for (const text of [...timeProblems(server, tree.record), ...rootProblems(server)])
      say(`SERVER: ${text}`);
  }
  const callers = new Map<string, Span>();
  for (const expected of tree.calls) {
    const span = takeUnsent(expected, server, left) ?? find(expected);
    if (!span) {
      if (!truth.partial) edges.missing++;
      continue;
    }
    callers.set(expected.id, span);
    const edge = edgeOf(span, server, truth);
    edges[edge]++;
    if (edge !== 'right') say(`CLIENT: ${edge} parent of ${describe(span)}`);
    for (const text of withinProblems(span, server, expected)) say(`CLIENT: ${text}`);
  }
  if (truth.downstreamPid !== undefined) {
    for (const expected of tree.downstream) {
      const span = find(expected);
      const caller = truth.plaintext ? callers.get(expected.id) : undefined;
      if (span) for (const text of remoteProblems(span, caller)) say(`downstream: ${text}`);
    }
  }
  return server ? 1 : 0;
}

/** The span of a call that may not have been sent. */
function takeUnsent(
  expected: ExpectedRpc,
  server: Span | undefined,
  left: Map<string, Span[]>,
): Span | undefined {
  if (!server || !expected.mayBeUnsent || left.has(`front ${KIND.client} ${expected.id}`)) return undefined;
  const found = left.get(`front ${KIND.client} under ${server.spanId}`) ?? [];
  const at = found.findIndex((span) => span.name === `${SERVICE}/${expected.method}`);
  const [span] = at < 0 ? [] : found.splice(at, 1);
  if (found.length === 0) left.delete(`front ${KIND.client} under ${server.spanId}`);
  return span;
}

/** The span, which is then done with. */
function take(
  expected: ExpectedRpc,
  left: Map<string, Span[]>,
  truth: GrpcTruth,
  say: (what: string) => void,
): Span | undefined {
  const where = expected.downstream ? 'downstream' : 'front';
  const key = `${where} ${KIND[expected.side]} ${expected.id}`;
  const found = left.get(key) ?? [];
  left.delete(key);
  const label = expected.downstream ? 'downstream' : expected.side.toUpperCase();
  const lacks = found.length === 0 && !expected.optional && !truth.partial;
  if (lacks || found.length > 1)
    say(
      `${label}: ${found.length} spans of ${expected.method}${found.map((span) => ` ${describe(span)}`).join('')}`,
    );
  const [span] = found;
  if (span) for (const text of spanProblems(span, expected, truth)) say(`${label}: ${text}`);
  return span;
}

function spanProblems(span: Span, expected: ExpectedRpc, truth: GrpcTruth): string[] {
  const problems: string[] = [];
  const method = `${SERVICE}/${expected.method}`;
  if (span.name !== method) problems.push(`the name is ${span.name}, not ${method}`);
  if (span.endNs < span.startNs) problems.push('it ends before it starts');
  const ends = expected.ends.map((end) => endProblem(span, end));
  if (!ends.includes(undefined)) problems.push(ends.filter((text) => text !== undefined).join(' and '));
  return [...problems, ...attributeProblems(span.attributes, expected, method, truth)];
}

function endProblem(span: Span, end: ExpectedRpc['ends'][number]): string | undefined {
  const actual = {
    status: span.attributes[STATUS],
    error: span.attributes['error.type'],
    reason: span.attributes[END_REASON],
    failed: span.statusCode === 2,
  };
  const wanted = {
    status: end.status,
    error: end.error,
    reason: end.reason,
    failed: end.error !== undefined,
  };
  const [is, should] = [JSON.stringify(actual), JSON.stringify(wanted)];
  return is === should ? undefined : `ends as ${is.replaceAll('"', '')}, not ${should.replaceAll('"', '')}`;
}

function attributeProblems(
  attributes: Attributes,
  expected: ExpectedRpc,
  method: string,
  truth: GrpcTruth,
): string[] {
  const { port } = expected;
  const target = port === undefined ? {} : { 'server.address': '127.0.0.1', 'server.port': port };
  const required: Attributes = { 'rpc.system.name': 'grpc', 'rpc.method': method, ...target };
  const peer: Attributes = {
    'network.peer.address': '127.0.0.1',
    ...(expected.side === 'client' && port !== undefined ? { 'network.peer.port': port } : {}),
  };
  // A call that no connection has taken has no peer; without a connection nothing tells the target, either.
  const carried = ID in attributes;
  // A client's peer is that of the answer.
  const answered = expected.side === 'server' || attributes[END_REASON] === undefined;
  const needed = answered && truth.plaintext && truth.partial !== true ? { ...required, ...peer } : required;
  const checked = carried ? needed : { 'rpc.system.name': 'grpc', 'rpc.method': method };
  const known = new Set([...Object.keys({ ...required, ...peer }), ...OTHERS]);
  return [
    ...Object.entries(checked).filter(([key, value]) => attributes[key] !== value),
    ...Object.entries(peer).filter(
      ([key, value]) => key in attributes && !(key in checked) && attributes[key] !== value,
    ),
  ]
    .map(([key, value]) => `${key} is ${JSON.stringify(attributes[key])}, not ${JSON.stringify(value)}`)
    .concat(
      Object.keys(attributes)
        .filter((key) => !known.has(key))
        .map((key) => `${key} is not expected`),
    );
}

const OTHERS = [STATUS, 'error.type', END_REASON, ID, 'network.peer.port', 'server.address', 'server.port'];

function edgeOf(span: Span, server: Span | undefined, truth: GrpcTruth): 'right' | 'wrong' | 'unknown' {
  if (span.parentSpanId === '') return truth.partial ? 'right' : 'unknown';
  return span.parentSpanId === server?.spanId && span.traceId === server.traceId ? 'right' : 'wrong';
}

/** The context of the call came with it, in plaintext. */
function remoteProblems(span: Span, caller: Span | undefined): string[] {
  if (!caller) return rootProblems(span);
  const right = span.parentSpanId === caller.spanId && span.traceId === caller.traceId;
  return right ? [] : [`parent ${span.parentSpanId || 'missing'}, not ${describe(caller)}`];
}

/** Nothing sends a context along. */
function rootProblems(span: Span): string[] {
  return span.parentSpanId === '' ? [] : [`parent ${span.parentSpanId} was not sent`];
}

function timeProblems(span: Span, record: GrpcRecord): string[] {
  const early = BigInt(record.startNs) - span.startNs;
  const late = span.endNs - BigInt(record.endNs);
  return [
    ...(early > CLOCK_TOLERANCE_NS ? [`it starts ${early} ns before the call`] : []),
    ...(record.code !== null && record.code === 0 && late > CLOCK_TOLERANCE_NS
      ? [`it ends ${late} ns after the call`]
      : []),
  ];
}

/** A call lies within the request that waits for it. */
function withinProblems(span: Span, server: Span | undefined, { mayBeUnsent }: ExpectedRpc): string[] {
  if (!server || span.parentSpanId !== server.spanId) return [];
  const reset = mayBeUnsent || span.attributes[END_REASON] !== undefined;
  const latest = server.endNs + (reset ? RESET_TOLERANCE_NS : TIME_TOLERANCE_NS);
  return [
    ...(span.startNs < server.startNs - TIME_TOLERANCE_NS ? ['it starts before its parent'] : []),
    ...(span.endNs > latest ? [`it ends ${span.endNs - server.endNs} ns after its parent`] : []),
  ];
}

const describe = (span: Span) => `${span.name} ${JSON.stringify(span.attributes)}`;
