import type { LoadRecord } from './load.ts';
import type { Attributes, AttributeValue, Span } from './otlp.ts';
import type { Program, Target } from './target.ts';

/** What a span must say. `optional` may be absent, but not different. */
export interface Expected {
  readonly name: string | undefined;
  readonly statusCode: number;
  readonly required: Attributes;
  readonly optional: Attributes;
  /** Names of the span's events. */
  readonly events: readonly string[];
}

const KNOWN_METHODS = 'CONNECT DELETE GET HEAD OPTIONS PATCH POST PUT QUERY TRACE'.split(' ');

/** Route of each load kind in axum 0.8 syntax; kinds that no route takes are missing. */
const ROUTES: Readonly<Record<string, string>> = {
  root: '/',
  items: '/items/{id}',
  pipeline: '/items/{id}',
  'odd-method': '/items/{id}',
  orders: '/api/v1/orders/{id}',
  svc: '/svc/inner/{id}',
  slow: '/slow/{ms}/{id}',
  status: '/status/{code}/{id}',
  stream: '/stream/{count}/{id}',
  early: '/early/{id}',
  panic: '/panic/{id}',
  upgrade: '/upgrade/{id}',
  hang: '/hang/{id}',
  reset: '/hang/{id}',
  'echo-length': '/echo/{id}',
  'echo-chunked': '/echo/{id}',
  'echo-evil': '/echo/{id}',
  'echo-evil-chunked': '/echo/{id}',
  expect: '/echo/{id}',
  users: '/users/{id}',
  head: '/users/{id}',
  'split-head': '/users/{id}',
  'big-head': '/users/{id}',
  http10: '/users/{id}',
  close: '/users/{id}',
};

export function expectedRoute(program: Program, kind: string): string | undefined {
  const route = ROUTES[kind];
  if (route === undefined || !program.includes('axum')) return undefined;
  return /08|14/.test(program) ? route : route.replaceAll(/\{(\w+)\}/g, ':$1');
}

export function expectedSpan(record: LoadRecord, target: Target): Expected {
  const { program, tls } = target.options;
  const route = expectedRoute(program, record.kind);
  const answered = record.status !== null;
  const known = KNOWN_METHODS.includes(record.method);
  const method = known ? record.method : 'HTTP';
  const [clientAddress, clientPort] = splitAddress(record.client);
  const required: Record<string, AttributeValue> = {
    'http.request.method': known ? record.method : '_OTHER',
    ...(known ? {} : { 'http.request.method_original': record.method }),
    ...urlAttributes(record),
    'url.scheme': tls ? 'https' : 'http',
    'network.protocol.version': record.version,
    ...serverAttributes(record.host),
    ...(record.userAgent === null ? {} : { 'user_agent.original': record.userAgent }),
    ...(answered ? { 'http.response.status_code': record.status } : {}),
    ...(answered && record.status >= 500 ? { 'error.type': `${record.status}` } : {}),
    ...(answered && route !== undefined ? { 'http.route': route } : {}),
    ...(answered ? {} : unanswered(record, target)),
  };
  const peer = {
    'client.address': clientAddress,
    'network.peer.address': clientAddress,
    'network.peer.port': clientPort,
  };
  return {
    // A route is known from the moment of routing, but a request that is never answered may not get so far.
    name: answered ? (route === undefined ? method : `${method} ${route}`) : undefined,
    statusCode: statusCode(record, program),
    required: { ...required, ...(tls ? {} : peer) },
    optional: { ...(tls ? peer : {}), ...(route === undefined ? {} : { 'http.route': route }) },
    events: seesPanic(record) ? ['exception'] : [],
  };
}

/**
 * Without a response the handler has panicked or the client has left. actix-web takes no notice of a client
 * that closes its side: such a request is still open when the agent stops, which is no error.
 */
function unanswered(record: LoadRecord, target: Target): Record<string, AttributeValue> {
  if (isLeftOpen(record, target.options.program)) return { 'otel_rust.end_reason': 'agent_stopped' };
  if (record.version === '2' && record.kind === 'hang')
    return { 'error.type': 'CANCEL', 'otel_rust.end_reason': 'reset' };
  const reason = seesPanic(record) ? 'panic' : 'connection_closed';
  return { 'error.type': reason, 'otel_rust.end_reason': reason };
}

const seesPanic = (record: LoadRecord) => record.kind === 'panic';

const isLeftOpen = (record: LoadRecord, program: Program) => program === 'actix4' && record.kind === 'hang';

function statusCode(record: LoadRecord, program: Program): number {
  if (record.status !== null) return record.status >= 500 ? 2 : 0;
  return isLeftOpen(record, program) ? 0 : 2;
}

const REDACTED_KEYS =
  /(^|&)(X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|sig|X-Goog-Signature)=[^&]*/g;

function urlAttributes(record: LoadRecord): Record<string, AttributeValue> {
  if (record.method === 'CONNECT') return { 'url.path': '' };
  const [path = '', query = ''] = record.target.split(/\?(.*)/s, 2);
  return {
    'url.path': path,
    ...(query === '' ? {} : { 'url.query': query.replaceAll(REDACTED_KEYS, '$1$2=REDACTED') }),
  };
}

function serverAttributes(host: string): Record<string, AttributeValue> {
  const [address, port] = splitAddress(host);
  return { 'server.address': address, 'server.port': port };
}

/** `127.0.0.1:80` or `[::1]:80`. */
export function splitAddress(text: string): [string, number] {
  const colon = text.lastIndexOf(':');
  return [text.slice(0, colon).replaceAll(/[[\]]/g, ''), Number(text.slice(colon + 1))];
}

/** What is wrong with a span, in words; empty when nothing is. */
export function differences(span: Span, expected: Expected): string[] {
  const problems: string[] = [];
  const check = (what: string, actual: unknown, wanted: unknown) => {
    if (actual !== wanted)
      problems.push(`${what} is ${JSON.stringify(actual)}, not ${JSON.stringify(wanted)}`);
  };
  check('kind', span.kind, 2);
  check('status', span.statusCode, expected.statusCode);
  if (expected.name !== undefined) check('name', span.name, expected.name);
  for (const [key, wanted] of Object.entries(expected.required)) check(key, span.attributes[key], wanted);
  for (const [key, actual] of Object.entries(span.attributes)) {
    if (Object.hasOwn(expected.required, key)) continue;
    if (Object.hasOwn(expected.optional, key)) check(key, actual, expected.optional[key]);
    else problems.push(`${key} = ${JSON.stringify(actual)} is not expected`);
  }
  check('events', span.events.map((event) => event.name).join(), expected.events.join());
  return problems;
}

/** Nanoseconds by which the two clocks, converted, may disagree. */
const CLOCK_TOLERANCE_NS = 5_000_000n;

export function timeDifferences(span: Span, record: LoadRecord): string[] {
  const problems: string[] = [];
  const start = span.startNs - BigInt(record.startNs);
  if (span.endNs < span.startNs) problems.push('it ends before it starts');
  if (start < -CLOCK_TOLERANCE_NS) problems.push(`it starts ${-start} ns before the request`);
  if (record.status === null) return problems;
  const late = lateness(span, record);
  if (late > SCHEDULING_NS) problems.push(`it ends ${late} ns after the response`);
  return problems;
}

/** Nanoseconds that the span ends after its client has the response. */
const lateness = (span: Span, record: LoadRecord): bigint => span.endNs - BigInt(record.endNs);

/**
 * The end of a response is read where the system call that wrote it returns. The client may have the bytes before
 * that, and the server's thread may lose its CPU in between: rarely, and for as long as a scheduler lets it wait.
 */
const SCHEDULING_NS = 100_000_000n;
const RARELY = 1 / 1000;

/** Spans that end later than two clocks explain: more of them than threads are interrupted in that place. */
export function latenessProblems(pairs: readonly (readonly [Span, LoadRecord])[]): string[] {
  const late = pairs.filter(
    ([span, record]) => record.status !== null && lateness(span, record) > CLOCK_TOLERANCE_NS,
  );
  if (late.length <= Math.max(1, pairs.length * RARELY)) return [];
  return late.map(
    ([span, record]) => `${record.id}: it ends ${lateness(span, record)} ns after the response`,
  );
}

export function traceDifferences(span: Span, traceparent: string | null): string[] {
  if (traceparent === null)
    return span.parentSpanId === '' ? [] : [`parent ${span.parentSpanId} was not sent`];
  const [, traceId, parentId] = traceparent.split('-');
  const problems: string[] = [];
  if (span.traceId !== traceId) problems.push(`trace ${span.traceId} does not continue ${traceparent}`);
  if (span.parentSpanId !== parentId) problems.push(`parent ${span.parentSpanId} is not of ${traceparent}`);
  return problems;
}
