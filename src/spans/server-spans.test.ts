import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AttributeKey } from '../base/attribute-key.ts';
import type { ClosedEvent, EventHeader, RequestEvent, ResponseEvent } from '../events/events.ts';
import { WallClock } from './clock.ts';
import { KNOWN_METHODS } from './server-attributes.ts';
import { type ServerSpanOptions, ServerSpans } from './server-spans.ts';
import type { SpanRecord } from './span.ts';

const SECOND = 1e9;
const GET = 'GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n';
const PROCESS = { process: { pid: 1, resourceAttributes: {} }, scope: { name: 'hyper', version: '1.0.0' } };

/** Monotonic time 0 is 1,000 s after the epoch. */
const clock = () => {
  let ms = 1_000_000;
  return new WallClock({ monotonicNs: () => 0, unixMs: () => ms++ });
};

function start(options: Partial<ServerSpanOptions> = {}) {
  const spans: SpanRecord[] = [];
  const server = new ServerSpans({
    clock: clock(),
    contextOf: (pid) => (pid === 1 ? PROCESS : undefined),
    emit: (span) => spans.push(span),
    knownMethods: new Set(KNOWN_METHODS),
    captureRequest: undefined,
    captureResponse: undefined,
    timeoutNs: 60 * SECOND,
    ...options,
  });
  return { server, spans };
}

const header: EventHeader = { timeNs: 3 * SECOND, connection: 1, task: 7, pid: 1, tid: 2, sequence: 0 };

const request = (more: Partial<RequestEvent> = {}): RequestEvent => ({
  ...header,
  startNs: 2 * SECOND,
  socket: 1,
  source: 'socket',
  tls: false,
  resend: false,
  ownContext: false,
  traceId0: 1,
  traceId1: 2,
  traceId2: 3,
  traceId3: 4,
  spanId0: 5,
  spanId1: 6,
  parentId0: 0,
  parentId1: 0,
  hasParent: false,
  traceFlags: 1,
  peerAddress: '10.0.0.9',
  peerPort: 5000,
  head: GET,
  overlap: 0,
  ...more,
  headSize: more.headSize ?? (more.head ?? GET).length,
});

const response = (status: number, more: Partial<ResponseEvent> = {}): ResponseEvent => ({
  ...header,
  timeNs: 4 * SECOND,
  status,
  routes: [],
  head: '',
  ...more,
});

const closed = (sequence: number, more: Partial<ClosedEvent> = {}): ClosedEvent => ({
  ...header,
  timeNs: 5 * SECOND,
  sequence,
  routes: [],
  exiting: false,
  lost: false,
  ...more,
});

function attribute(span: SpanRecord | undefined, name: string): unknown {
  assert(span);
  const at = span.attributes.findIndex(
    (key) => typeof key === 'object' && (key as AttributeKey).name === name,
  );
  return at < 0 ? undefined : span.attributes[at + 1];
}

const endReason = (span: SpanRecord | undefined) => attribute(span, 'otel_rust.end_reason');
const errorType = (span: SpanRecord | undefined) => attribute(span, 'error.type');

const NO_LOSSES = { malformedHeads: 0, unmatchedResponses: 0, unknownProcess: 0, openLimit: 0 };

test('request and response are a span', () => {
  const { server, spans } = start();
  server.request(request());
  assert.equal(server.openCount, 1);
  server.response(response(200, { routes: ['/a'] }));
  const [span] = spans;
  assert(span && spans.length === 1);
  assert.deepEqual([span.name, span.kind, span.status, span.statusMessage], ['GET /a', 1, 0, undefined]);
  assert.deepEqual([span.startUnixSeconds, span.endUnixSeconds], [1002, 1004]);
  assert.deepEqual(
    [span.traceId0, span.traceId3, span.spanId0, span.spanId1, span.traceFlags],
    [1, 4, 5, 6, 1],
  );
  assert.equal(span.process, PROCESS.process);
  assert.equal(span.scope, PROCESS.scope);
  assert.equal(attribute(span, 'http.response.status_code'), 200);
  assert.equal(attribute(span, 'http.route'), '/a');
  assert.equal(endReason(span), undefined);
  assert.equal(server.openCount, 0);
  assert.deepEqual({ ...server.losses }, NO_LOSSES);
});

test('status: 5xx is an error, nothing below', () => {
  const { server, spans } = start();
  for (const status of [101, 204, 302, 404, 499, 500, 599]) {
    server.request(request());
    server.response(response(status));
  }
  assert.deepEqual(
    spans.map((span) => [span.status, errorType(span)]),
    [...Array(5).fill([0, undefined]), [2, '500'], [2, '599']],
  );
});

test('without a route the method alone; an unknown method is HTTP', () => {
  const { server, spans } = start();
  server.request(request());
  server.response(response(200));
  server.request(request({ head: 'BREW /pot HTTP/1.1\r\n\r\n' }));
  server.response(response(418, { routes: ['/pot'] }));
  assert.deepEqual(
    spans.map(({ name }) => name),
    ['GET', 'HTTP /pot'],
  );
});

test('a remote parent and its trace state', () => {
  const { server, spans } = start();
  const head = 'GET / HTTP/1.1\r\ntracestate: a=1\r\n\r\n';
  server.request(request({ head, hasParent: true, parentId0: 8, parentId1: 9 }));
  server.request(request({ head, sequence: 1 }));
  server.response(response(200));
  server.response(response(200, { sequence: 1 }));
  assert.deepEqual(
    spans.map((span) => [span.parentIsRemote, span.parentId0, span.parentId1, span.traceState]),
    [
      [true, 8, 9, 'a=1'],
      [false, 0, 0, undefined],
    ],
  );
});

test('pipelined requests pair by their numbers, on each connection', () => {
  const { server, spans } = start();
  for (const connection of [1, 2])
    for (const sequence of [0, 1])
      server.request(
        request({ connection, sequence, head: `GET /${connection}${sequence} HTTP/1.1\r\n\r\n` }),
      );
  for (const [connection, sequence] of [
    [2, 0],
    [1, 0],
    [1, 1],
    [2, 1],
  ] as const)
    server.response(response(200 + 10 * connection + sequence, { connection, sequence }));
  assert.deepEqual(
    spans.map((span) => [attribute(span, 'url.path'), attribute(span, 'http.response.status_code')]),
    [
      ['/20', 220],
      ['/10', 210],
      ['/11', 211],
      ['/21', 221],
    ],
  );
});

test('a head in pieces, with overlaps', () => {
  const { server, spans } = start();
  const headSize = GET.length;
  server.piece({ connection: 1, head: GET.slice(0, 10), overlap: 0, headSize: 10 });
  server.piece({ connection: 1, head: GET.slice(4, 20), overlap: 6, headSize: 20 });
  server.request(request({ head: GET.slice(18), overlap: 2, headSize }));
  server.response(response(200));
  assert.equal(attribute(spans[0], 'server.address'), 'a.example');
});

test('a piece that was lost: no span of what is left', () => {
  const { server, spans } = start();
  const headSize = GET.length;
  const first = { connection: 1, head: GET.slice(0, 10), overlap: 0, headSize: 10 };
  const second = { connection: 1, head: GET.slice(10, 20), overlap: 0, headSize: 20 };
  const last = request({ head: GET.slice(20), overlap: 0, headSize });
  for (const pieces of [[first], [second], []]) {
    for (const piece of pieces) server.piece(piece);
    server.request(last);
    server.response(response(200));
  }
  assert.deepEqual(spans, []);
  assert.deepEqual({ ...server.losses }, { ...NO_LOSSES, malformedHeads: 3 });
});

test('a head that the capture cut is recorded as far as it goes', () => {
  const { server, spans } = start();
  const text = `${GET.slice(0, -2)}X-A: ${'a'.repeat(8200)}`;
  server.piece({ connection: 1, head: text, overlap: 0, headSize: text.length });
  server.request(request({ head: '', headSize: 20_000 }));
  server.response(response(200));
  assert.equal(attribute(spans[0], 'server.address'), 'a.example');
});

test('pieces that are dropped or whose connection ends leave nothing', () => {
  const { server, spans } = start();
  server.piece({ connection: 1, head: 'garbage', overlap: 0, headSize: 7 });
  server.headDropped(1);
  server.piece({ connection: 2, head: 'garbage', overlap: 0, headSize: 7 });
  server.closed(closed(0, { connection: 2 }));
  server.request(request());
  server.request(request({ connection: 2 }));
  assert.equal(server.openCount, 2);
  assert.deepEqual(spans, []);
});

test('a malformed head makes no span, and its response is expected', () => {
  const { server, spans } = start();
  server.request(request({ head: 'GET / HTTP/1.1\r\nA : b\r\n\r\n' }));
  server.response(response(400));
  assert.deepEqual(spans, []);
  assert.deepEqual({ ...server.losses }, { ...NO_LOSSES, malformedHeads: 1 });
  server.response(response(200, { connection: 5 }));
  assert.equal(server.losses.unmatchedResponses, 1);
  server.request(request({ pid: 2 }));
  assert.equal(server.losses.unknownProcess, 1);
});

test('closed: all that is open on the connection fails, an unsampled one between them too', () => {
  const { server, spans } = start();
  server.request(request());
  server.request(request({ sequence: 2 }));
  server.request(request({ connection: 9 }));
  server.closed(closed(3, { routes: ['/r'] }));
  server.expire(9 * SECOND); // the ring may be read late
  assert.equal(spans.length, 0);
  server.expire(10 * SECOND);
  spans.sort((a, b) => a.name.length - b.name.length);
  assert.deepEqual(
    spans.map((span) => [span.name, endReason(span), errorType(span), span.status, span.endUnixSeconds]),
    [
      ['GET', 'connection_closed', 'connection_closed', 2, 1005],
      ['GET /r', 'connection_closed', 'connection_closed', 2, 1005],
    ],
  );
  assert.equal(server.openCount, 1);
});

test('a response that is told behind the end of its connection ends the request', () => {
  const { server, spans } = start();
  server.request(request());
  server.request(request({ sequence: 1 }));
  server.closed(closed(2, { routes: ['/r'] }));
  server.panic({ ...header, timeNs: 5.1 * SECOND }); // of the task's next request
  server.response(response(417, { timeNs: 5.2 * SECOND }));
  server.expire(6 * SECOND);
  server.expire(7 * SECOND);
  assert.deepEqual(
    spans.map((span) => [span.name, attribute(span, 'http.response.status_code'), endReason(span)]),
    [
      ['GET /r', 417, undefined],
      ['GET', undefined, 'connection_closed'],
    ],
  );
  assert.equal(server.losses.unmatchedResponses, 0);
});

test('why a request had no answer', () => {
  const ends: readonly (readonly [end: (server: ServerSpans) => void, reason: string, failed: boolean])[] = [
    [(server) => server.closed(closed(1, { exiting: true })), 'process_exit', true],
    [(server) => server.closed(closed(1, { lost: true })), 'connection_lost', false],
    [(server) => server.processEnded(1, 5 * SECOND), 'process_exit', true],
    [(server) => server.expire(63 * SECOND), 'timeout', true],
    [(server) => server.stop(5 * SECOND), 'agent_stopped', false],
  ];
  for (const [end, reason, failed] of ends) {
    const { server, spans } = start();
    server.request(request());
    end(server);
    assert.deepEqual(
      spans.map((span) => [endReason(span), errorType(span), span.status]),
      [[reason, failed ? reason : undefined, failed ? 2 : 0]],
    );
    assert.equal(attribute(spans[0], 'http.response.status_code'), undefined);
    assert.equal(server.openCount, 0);
  }
});

test('time-outs take the old ones only, processes their own only', () => {
  const { server, spans } = start();
  server.request(request());
  server.request(request({ connection: 2, startNs: 10 * SECOND }));
  server.expire(61 * SECOND);
  server.processEnded(3, 0);
  assert.equal(spans.length, 0);
  server.expire(65 * SECOND);
  assert.equal(spans.length, 1);
  assert.equal(server.openCount, 1);
});

test('a panic belongs to its task, and to its thread where there is none', () => {
  const { server, spans } = start();
  server.request(request());
  server.request(request({ connection: 2, task: 8 }));
  server.request(request({ connection: 3, task: 0, tid: 3 }));
  server.panic({ ...header, pid: 9 });
  server.panic({ ...header, task: 0, tid: 4 });
  server.panic({ ...header, timeNs: 3.5 * SECOND });
  server.closed(closed(1));
  server.expire(6 * SECOND);
  server.expire(7 * SECOND);
  server.response(response(500, { connection: 2 }));
  server.panic({ ...header, task: 0, tid: 3 });
  server.response(response(500, { connection: 3 }));
  assert.deepEqual(
    spans.map((span) => [endReason(span), errorType(span), span.events?.length]),
    [
      ['panic', 'panic', 1],
      [undefined, '500', undefined],
      [undefined, 'panic', 1],
    ],
  );
  assert.deepEqual([spans[0]?.events?.[0]?.name, spans[0]?.events?.[0]?.unixSeconds], ['exception', 1003]);
});

test('library tier: TLS as the socket below says, unknown without one; its close ends the request', () => {
  const { server, spans } = start();
  server.request(request({ source: 'library', connection: 20, socket: 10, tls: true }));
  server.request(
    request({ source: 'library', connection: 21, socket: 0, peerAddress: undefined, peerPort: 0 }),
  );
  server.closed(closed(0, { connection: 10, routes: ['/r'] }));
  server.response(response(200, { connection: 21 }));
  assert.deepEqual(
    spans.map((span) => [span.name, attribute(span, 'url.scheme'), endReason(span)]),
    [
      ['GET /r', 'https', 'connection_closed'],
      ['GET', undefined, undefined],
    ],
  );
});

test('response headers, when asked for', () => {
  const { server, spans } = start({ captureResponse: new Set(['x-a']) });
  server.request(request());
  server.response(response(200, { head: 'HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: 2\r\n\r\n' }));
  assert.deepEqual(attribute(spans[0], 'http.response.header.x-a'), ['1']);
  assert.equal(attribute(spans[0], 'http.response.header.x-b'), undefined);
});

test('open requests are bounded, and what is beyond is counted', () => {
  const { server, spans } = start();
  for (let connection = 1; connection <= 50_001; connection++) server.request(request({ connection }));
  assert.equal(server.openCount, 50_000);
  assert.equal(server.losses.openLimit, 1);
  server.response(response(200, { connection: 50_001 }));
  assert.equal(server.losses.unmatchedResponses, 0);
  assert.deepEqual(spans, []);
});
