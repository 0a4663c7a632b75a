import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { StreamEvent } from '../events/events.ts';
import { EVENT_KIND } from '../events/layout.ts';
import type { SpanRecord } from './span.ts';
import { attribute, SECOND } from './test-support/client-events.ts';
import {
  ADDRESS,
  received,
  receivedRpc,
  reset,
  response,
  rpcResponse,
  sentRpc,
  startStreams,
  streamsClosed,
  trailers,
} from './test-support/stream-events.ts';

const reasonOf = (span: SpanRecord | undefined) => attribute(span, 'otel_rust.end_reason');
const ofSocket = (socket: number) => streamsClosed({ connection: 0, socket });

test('streams of one connection and of several, pairwise', () => {
  const { streams, spans } = startStreams();
  for (const connection of [ADDRESS, ADDRESS + 8])
    for (const sequence of [1, 3, 5, 4097, 8193])
      streams.stream(receivedRpc({ connection, sequence, spanId1: sequence }));
  for (const connection of [ADDRESS + 8, ADDRESS])
    for (const sequence of [8193, 5, 1, 4097, 3])
      streams.stream(trailers(`${sequence % 7}`, { connection, sequence }));
  const names = [
    'OK',
    'CANCELLED',
    'UNKNOWN',
    'INVALID_ARGUMENT',
    'DEADLINE_EXCEEDED',
    'NOT_FOUND',
    'ALREADY_EXISTS',
  ];
  assert.equal(spans.length, 10);
  for (const span of spans)
    assert.equal(attribute(span, 'rpc.response.status_code'), names[span.spanId1 % 7]);
});

test('a server that goes away ends the streams above the last it has taken', () => {
  const { streams, spans } = startStreams();
  for (const sequence of [1, 3, 5]) streams.stream(sentRpc({ sequence, spanId1: sequence }));
  streams.stream(streamsClosed({ client: true, sequence: 3 }));
  assert.deepEqual([spans.map((span) => span.spanId1), streams.openCount], [[5], 2]);
  streams.stream(trailers('0', { client: true, sequence: 1 }));
  assert.equal(attribute(spans[1], 'rpc.response.status_code'), 'OK');
  streams.stream(streamsClosed({ client: true, sequence: 2 ** 31 - 1 }));
  assert.equal(streams.openCount, 1);
});

test('numbers that begin again at the same address are a new connection: what was open is lost', () => {
  const { streams, spans } = startStreams();
  streams.stream(receivedRpc({ sequence: 7, spanId1: 7 }));
  streams.stream(receivedRpc({ sequence: 9, spanId1: 9 }));
  streams.stream(receivedRpc({ sequence: 7, spanId1: 70, timeNs: 5 * SECOND }));
  assert.deepEqual(spans.map((span) => [span.spanId1, reasonOf(span), span.status]).sort(), [
    [7, 'connection_lost', 0],
    [9, 'connection_lost', 0],
  ]);
  streams.stream(trailers('0', { sequence: 9 }));
  streams.stream(trailers('0', { sequence: 7, timeNs: 6 * SECOND }));
  assert.deepEqual([spans.length, spans[2]?.spanId1, streams.openCount], [3, 70, 0]);
});

test('after its end a connection may begin with any number, without loss', () => {
  const { streams, spans } = startStreams();
  streams.stream(received({ sequence: 5 }));
  streams.stream(response(200, { sequence: 5 }));
  streams.stream(streamsClosed());
  streams.stream(received({ sequence: 1 }));
  streams.stream(response(201, { sequence: 1 }));
  assert.deepEqual(
    spans.map((span) => attribute(span, 'http.response.status_code')),
    [200, 201],
  );
});

test('a socket that is closed: what was received before may still be read', () => {
  const { streams, spans } = startStreams();
  for (const sequence of [1, 3]) streams.stream(receivedRpc({ sequence, spanId1: sequence }));
  streams.stream(ofSocket(4));
  streams.stream(ofSocket(3));
  streams.stream(trailers('0', { sequence: 1, timeNs: 6.1 * SECOND }));
  streams.expire(6.5 * SECOND);
  assert.equal(spans.length, 1);
  streams.expire(7.5 * SECOND);
  assert.deepEqual(
    spans.map((span) => [span.spanId1, reasonOf(span), span.endUnixSeconds]),
    [
      [1, undefined, 1006],
      [3, 'connection_closed', 1006],
    ],
  );
});

test('behind a closed socket the next request at its address is of another connection', () => {
  const { streams, spans } = startStreams();
  streams.stream(receivedRpc({ spanId1: 1 }));
  streams.stream(ofSocket(3));
  streams.stream(receivedRpc({ sequence: 3, spanId1: 3, timeNs: 6.2 * SECOND }));
  streams.expire(60 * SECOND);
  assert.deepEqual(
    spans.map((span) => [span.spanId1, reasonOf(span), span.endUnixSeconds]),
    [[1, 'connection_closed', 1006]],
  );
  streams.stream(ofSocket(3));
  streams.processEnded(1, 61 * SECOND);
  streams.stream(receivedRpc({ spanId1: 5, timeNs: 61.5 * SECOND }));
  streams.expire(90 * SECOND);
  assert.deepEqual([spans.length, reasonOf(spans[1]), streams.openCount], [2, 'process_exit', 1]);
});

test("a client's socket is known from what it receives", () => {
  const { streams, spans } = startStreams();
  streams.stream(sentRpc());
  streams.stream(rpcResponse({ client: true, socket: 9 }));
  streams.stream(ofSocket(9));
  streams.stream(streamsClosed());
  streams.expire(60 * SECOND);
  assert.deepEqual([spans.length, attribute(spans[0], 'rpc.response.status_code')], [1, 'UNAVAILABLE']);
});

test('the process ends, the agent stops', () => {
  const { streams, spans } = startStreams();
  streams.stream(receivedRpc());
  streams.processEnded(2, 7 * SECOND);
  assert.equal(spans.length, 0);
  streams.processEnded(1, 7 * SECOND);
  assert.deepEqual([reasonOf(spans[0]), spans[0]?.status], ['process_exit', 2]);
  streams.stream(sentRpc());
  streams.stop(8 * SECOND);
  assert.deepEqual([reasonOf(spans[1]), spans[1]?.status, streams.openCount], ['agent_stopped', 0, 0]);
  assert.equal(attribute(spans[1], 'rpc.response.status_code'), undefined);
});

test('only HTTP requests have a time limit', () => {
  const { streams, spans } = startStreams();
  streams.stream(received());
  streams.stream(receivedRpc({ sequence: 3 }));
  streams.expire(61 * SECOND);
  assert.equal(spans.length, 0);
  streams.expire(62 * SECOND);
  assert.deepEqual(
    [spans.length, reasonOf(spans[0]), attribute(spans[0], 'error.type')],
    [1, 'timeout', 'timeout'],
  );
  streams.expire(1e6 * SECOND);
  streams.stream(trailers('0', { sequence: 3, timeNs: 1e6 * SECOND }));
  assert.equal(attribute(spans[1], 'rpc.response.status_code'), 'OK');
});

test('when there is no room, the oldest end, and are counted', () => {
  const { streams, spans } = startStreams();
  const request = receivedRpc();
  for (let i = 0; i < 50_001; i++)
    streams.stream({ ...request, sequence: 2 * i + 1, timeNs: request.timeNs + i });
  assert.deepEqual([streams.openCount, spans.length, streams.losses.openLimit], [46_876, 3_125, 3_125]);
  assert.deepEqual([...new Set(spans.map(reasonOf))], ['open_limit']);
  streams.stream(trailers('0', { sequence: 100_001 }));
  assert.equal(attribute(spans.at(-1), 'rpc.response.status_code'), 'OK');
  assert.equal(spans.at(-2)?.startNanoseconds, 1_003_124);
});

test('connections without streams are forgotten when there are many', () => {
  const { streams, spans } = startStreams();
  streams.stream(receivedRpc());
  for (let i = 1; i <= 70_000; i++) {
    streams.stream(received({ connection: ADDRESS + 64 * i }));
    streams.stream(response(200, { connection: ADDRESS + 64 * i }));
  }
  streams.stream(trailers('0'));
  assert.equal(spans.length, 70_001);
  assert.equal(attribute(spans.at(-1), 'rpc.response.status_code'), 'OK');
});

test('what belongs to no open stream, or to no process, is nothing', () => {
  const { streams, spans } = startStreams();
  for (const event of [response(200), trailers('0'), reset(8), streamsClosed(), ofSocket(3)])
    streams.stream(event);
  streams.stream(received({ pid: 9 }));
  streams.stream(response(200, { pid: 9 }));
  assert.deepEqual([spans.length, streams.openCount, streams.losses.unknownProcess], [0, 0, 1]);
});

// ---- against a model ----

interface Step {
  readonly connection: number;
  readonly action: 'request' | 'http' | 'headers' | 'trailers' | 'reset' | 'goAway' | 'closed' | 'restart';
  readonly pick: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  connection: fc.integer({ min: 0, max: 3 }),
  action: fc.constantFrom(
    'request',
    'request',
    'http',
    'headers',
    'trailers',
    'trailers',
    'reset',
    'goAway',
    'closed',
    'restart',
  ),
  pick: fc.nat(),
});

/** Plays steps with a model of what each span must tell: its number, and how it ends. */
class Play {
  readonly events: StreamEvent[] = [];
  readonly expected: (readonly [id: number, end: string])[] = [];
  readonly #open = new Map<number, { id: number; sequence: number; rpc: boolean }[]>();
  readonly #next = new Map<number, number>();
  #ids = 0;

  step({ connection, action, pick }: Step): void {
    const open = this.#open.get(connection) ?? [];
    this.#open.set(connection, open);
    const at = { connection: ADDRESS + connection * 64, timeNs: (2 + this.events.length) * SECOND };
    const one = open[pick % (open.length || 1)];
    if (action === 'request' || action === 'http') {
      const sequence = this.#next.get(connection) ?? 1;
      this.#next.set(connection, sequence + 2 + 2 * (pick % 3000));
      const rpc = action === 'request';
      const id = ++this.#ids;
      open.push({ id, sequence, rpc });
      this.events.push((rpc ? receivedRpc : received)({ ...at, sequence, spanId1: id }));
    } else if (action === 'restart') {
      if (open.length === 0) return;
      this.#next.set(connection, 1);
      this.#end(connection, () => true, 'connection_lost');
      this.step({ connection, action: 'request', pick });
    } else if (action === 'closed' || action === 'goAway') {
      const above = action === 'closed' ? 0 : (one?.sequence ?? 1);
      if (above === 0) this.#next.delete(connection);
      this.events.push(streamsClosed({ ...at, sequence: above }));
      this.#end(connection, ({ sequence }) => sequence > above, 'connection_closed');
    } else if (one) this.#progress(connection, one, action, at);
  }

  #progress(
    connection: number,
    one: { id: number; sequence: number; rpc: boolean },
    action: 'headers' | 'trailers' | 'reset',
    at: Partial<StreamEvent>,
  ): void {
    const where = { ...at, sequence: one.sequence };
    const only = ({ id }: { id: number }) => id === one.id;
    if (action === 'reset') {
      this.events.push(reset(1, where));
      this.#end(connection, only, 'reset');
    } else if (action === 'trailers') {
      this.events.push(trailers('5', where));
      if (one.rpc) this.#end(connection, only, 'NOT_FOUND');
    } else {
      this.events.push(rpcResponse(where));
      if (!one.rpc) this.#end(connection, only, '200');
    }
  }

  #end(connection: number, which: (one: { id: number; sequence: number }) => boolean, end: string): void {
    const open = this.#open.get(connection) ?? [];
    for (const one of open.filter(which)) this.expected.push([one.id, end]);
    this.#open.set(
      connection,
      open.filter((one) => !which(one)),
    );
  }

  stop(): void {
    for (const connection of this.#open.keys()) this.#end(connection, () => true, 'agent_stopped');
  }
}

function endOf(span: SpanRecord): string {
  const [rpc, http] = ['rpc.response.status_code', 'http.response.status_code'].map((key) =>
    attribute(span, key),
  );
  return String(reasonOf(span) ?? rpc ?? http);
}

test('any course of streams: one span each, ended by what ends it', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const play = new Play();
      for (const one of steps) play.step(one);
      play.stop();
      const { streams, spans } = startStreams();
      for (const event of play.events) streams.stream(event);
      streams.stop(1e6 * SECOND);
      const byId = (a: readonly [number, string], b: readonly [number, string]) => a[0] - b[0];
      const found = spans.map((span) => [span.spanId1, endOf(span)] as const);
      assert.deepEqual(found.sort(byId), [...play.expected].sort(byId));
      assert.equal(streams.openCount, 0);
    }),
    { numRuns: 300 },
  );
});

test('any records in any order: no exception, at most one span a request', () => {
  const kinds = Object.values(EVENT_KIND).filter((kind) => kind >= EVENT_KIND.STREAM_REQUEST);
  const any = fc.record({
    kind: fc.constantFrom(...kinds),
    connection: fc.constantFrom(0, ADDRESS, ADDRESS + 64),
    sequence: fc.integer({ min: 0, max: 9 }),
    client: fc.boolean(),
    local: fc.boolean(),
    status: fc.constantFrom(0, 200, 404, 500),
    socket: fc.integer({ min: 0, max: 2 }),
    call: fc.integer({ min: 0, max: 2 }),
    reason: fc.integer({ min: 0, max: 20 }),
    headers: fc.array(
      fc.constantFrom(['content-type', 'application/grpc'] as const, ['grpc-status', '3'] as const),
    ),
  });
  fc.assert(
    fc.property(fc.array(any, { maxLength: 60 }), (records) => {
      const { streams, spans } = startStreams();
      for (const [i, more] of records.entries())
        streams.stream(received({ ...more, timeNs: i * SECOND, path: '/a.B/C' }));
      streams.expire(1000 * SECOND);
      streams.stop(1001 * SECOND);
      const requests = records.filter(({ kind }) => kind === EVENT_KIND.STREAM_REQUEST).length;
      assert.equal(spans.length, requests);
    }),
  );
});
