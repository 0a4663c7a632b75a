import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import fc from 'fast-check';
import { attributeKey } from '../base/attribute-key.ts';
import type { FlatAttributes, SpanEvent, SpanRecord } from '../spans/span.ts';
import { encodeRequest, encodeRequests, RequestMemory } from './encode-request.ts';
import { createSpanEncoder, type EncodedSpan } from './encoded-span.ts';
import { ReadableRecord } from './readable-span.ts';
import type { SpanLimits } from './settings.ts';
import { decodeTraceRequest, spansOf } from './test-support/decode.ts';
import { flat, makeSpan, PROCESS, SCOPE } from './test-support/spans.ts';

const LIMITS: SpanLimits = {
  attributeCount: 128,
  attributesPerEvent: 128,
  eventCount: 128,
  attributeValueLength: Number.POSITIVE_INFINITY,
};

function ours(spans: readonly SpanRecord[], limits = LIMITS) {
  return decodeTraceRequest(encodeRequest(spans.map(createSpanEncoder(limits).encode)).bytes);
}

function official(spans: readonly SpanRecord[], limits = LIMITS) {
  const bytes = ProtobufTraceSerializer.serializeRequest(
    spans.map((span) => new ReadableRecord(span, limits)),
  );
  return decodeTraceRequest(bytes ?? new Uint8Array());
}

/** Any UTF-16, lone surrogates included. */
const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 })
    .map((units) => String.fromCharCode(...units)),
  fc.integer({ min: 90, max: 140 }).map((size) => 'x'.repeat(size)),
  fc.constant('y'.repeat(20_000)),
);
const wholeNumber = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(
    0,
    -0,
    -1,
    127,
    128,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    2 ** 35,
    2 ** 53,
    2 ** 62,
    -(2 ** 63),
    2 ** 63,
  ),
);
const value = fc.oneof(text, wholeNumber, fc.double(), fc.boolean(), fc.array(text, { maxLength: 4 }));
const key = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.integer({ min: 95, max: 130 }).map((size) => 'k'.repeat(size)),
);
const attributes: fc.Arbitrary<FlatAttributes> = fc
  .uniqueArray(fc.tuple(key, value), { selector: ([name]) => name, maxLength: 12 })
  // An object with number-like keys has an order of its own; real keys are never numbers.
  .map((pairs) => pairs.flatMap(([name, item]) => [attributeKey(`k${name}`), item]));
const word = fc.integer();
const seconds = fc.oneof(fc.integer({ min: 0, max: 2 ** 33 }), fc.integer({ min: 1.6e9, max: 1.9e9 }));
const nanoseconds = fc.integer({ min: 0, max: 999_999_999 });
const event: fc.Arbitrary<SpanEvent> = fc.record({
  name: text,
  unixSeconds: seconds,
  nanoseconds,
  attributes,
});

const processes = [
  PROCESS,
  { pid: 2, resourceAttributes: { 'service.name': 'ünïcode', list: ['a', ''], big: 2 ** 40 } },
];
const scopes = [SCOPE, { name: 'axum', version: undefined }];

const span: fc.Arbitrary<SpanRecord> = fc.record({
  process: fc.constantFrom(...processes),
  scope: fc.constantFrom(...scopes),
  kind: fc.constantFrom(1 as const, 2 as const),
  name: text,
  traceId0: word,
  traceId1: word,
  traceId2: word,
  traceId3: word,
  spanId0: word,
  spanId1: word,
  parentId0: fc.oneof(word, fc.constant(0)),
  parentId1: fc.oneof(word, fc.constant(0)),
  parentIsRemote: fc.boolean(),
  traceState: fc.option(fc.constantFrom('', 'a=1,b=2', `k=${'v'.repeat(400)}`), { nil: undefined }),
  traceFlags: fc.integer({ min: 0, max: 255 }),
  startUnixSeconds: seconds,
  startNanoseconds: nanoseconds,
  endUnixSeconds: seconds,
  endNanoseconds: nanoseconds,
  status: fc.constantFrom(0 as const, 2 as const),
  statusMessage: fc.option(text, { nil: undefined }),
  attributes,
  events: fc.option(fc.array(event, { maxLength: 3 }), { nil: undefined }),
});
const limits: fc.Arbitrary<SpanLimits> = fc.record({
  attributeCount: fc.constantFrom(0, 1, 5, 128),
  attributesPerEvent: fc.constantFrom(0, 1, 128),
  eventCount: fc.constantFrom(0, 1, 128),
  attributeValueLength: fc.constantFrom(0, 1, 7, 100, Number.POSITIVE_INFINITY),
});

test('our bytes decode to what the official serializer writes', () => {
  fc.assert(
    fc.property(fc.array(span, { maxLength: 8 }), limits, (spans, limit) => {
      assert.deepEqual(ours(spans, limit), official(spans, limit));
    }),
    { numRuns: 400 },
  );
});

test('spans of many chunks and processes keep their order', () => {
  const spans = Array.from({ length: 3_000 }, (_, i) =>
    makeSpan(i, {
      process: processes[i % 7 === 0 ? 1 : 0] ?? PROCESS,
      scope: scopes[i % 3 === 0 ? 1 : 0] ?? SCOPE,
    }),
  );
  assert.deepEqual(ours(spans), official(spans));
});

test('spans at matching places of two chunks are not taken for neighbours', () => {
  const { encode } = createSpanEncoder(LIMITS);
  const [first = PROCESS, second = PROCESS] = processes;
  const encoded = [encode(makeSpan(1, { process: first }))];
  const chunk = encoded[0]?.chunk;
  for (let i = 0; encoded.at(-1)?.chunk === chunk; i++)
    encoded.push(encode(makeSpan(i, { process: second })));
  encoded.push(encode(makeSpan(2, { process: first })));
  assert.equal(encoded[0]?.end, encoded.at(-1)?.start);
  const ids = spansOf(encodeRequest(encoded).bytes)
    .slice(0, 2)
    .map((decoded) => decoded.spanId);
  assert.deepEqual(ids, ['00f067aa00000001', '00f067aa00000002']);
});

test('the nanosecond product is exact at the edges of its two halves', () => {
  for (const startUnixSeconds of [0, 1, 65_535, 65_536, 2 ** 31, 2 ** 32, 18_446_744_072]) {
    const decoded = ours([makeSpan(0, { startUnixSeconds, startNanoseconds: 999_999_999 })]);
    const start = decoded.resourceSpans[0]?.scopeSpans[0]?.spans[0]?.start;
    assert.equal(start, BigInt(startUnixSeconds) * 1_000_000_000n + 999_999_999n);
  }
});

test('flags carry the trace flags and whether the parent is remote', () => {
  const flagsOf = (overrides: Partial<SpanRecord>) =>
    ours([makeSpan(0, overrides)]).resourceSpans[0]?.scopeSpans[0]?.spans[0]?.flags;
  assert.equal(flagsOf({ traceFlags: 1, parentIsRemote: false }), 0x101);
  assert.equal(flagsOf({ traceFlags: 1, parentIsRemote: true, parentId1: 5 }), 0x301);
});

test('requests stay below the size limit and lose nothing', () => {
  const { encode } = createSpanEncoder(LIMITS);
  const records = Array.from({ length: 200 }, (_, i) =>
    makeSpan(i, { attributes: flat({ body: 'x'.repeat((i % 10) * 300) }) }),
  );
  const requests = [...encodeRequests(records.map(encode), 16_384)];
  assert.ok(requests.length > 10);
  for (const request of requests) assert.ok(request.bytes.length <= 16_384, `${request.bytes.length} bytes`);
  const ids = requests.flatMap((request) => spansOf(request.bytes).map((decoded) => decoded.spanId));
  assert.deepEqual(
    ids,
    records.map((record) => `00f067aa${record.spanId1.toString(16).padStart(8, '0')}`),
  );
  assert.equal(
    requests.reduce((sum, request) => sum + request.spanCount, 0),
    200,
  );
});

test('a span larger than a request travels alone', () => {
  const { encode } = createSpanEncoder(LIMITS);
  const large = makeSpan(1, { attributes: flat({ body: 'x'.repeat(50_000) }) });
  const requests = [...encodeRequests([makeSpan(0), large, makeSpan(2)].map(encode), 16_384)];
  assert.deepEqual(
    requests.map((request) => request.spanCount),
    [1, 1, 1],
  );
});

test('what is encoded in released memory is not changed by what comes next, nor is the memory lost', () => {
  const { encode, release } = createSpanEncoder(LIMITS);
  const memory = new RequestMemory();
  const chunks = new Set<unknown>();
  const buffers = new Set<unknown>();
  let waiting: EncodedSpan[] = [];
  for (let round = 0; round < 40; round++) {
    const records = Array.from({ length: 500 + (round % 7) * 100 }, (_, i) => makeSpan(round * 10_000 + i));
    const encoded = records.map(encode);
    for (const span of encoded) chunks.add(span.chunk);
    const held = waiting.map((span) => Buffer.from(span.chunk.buffer.subarray(span.start, span.end)));
    const ids: string[] = [];
    for (const request of encodeRequests(encoded, 100_000, memory)) {
      ids.push(...spansOf(request.bytes).map((decoded) => decoded.spanId));
      buffers.add(request.bytes.buffer);
      request.release?.();
    }
    assert.deepEqual(
      ids,
      records.map((record) => `00f067aa${record.spanId1.toString(16).padStart(8, '0')}`),
    );
    assert.deepEqual(
      waiting.map((span) => Buffer.from(span.chunk.buffer.subarray(span.start, span.end))),
      held,
    );
    release(waiting);
    waiting = encoded;
  }
  // Two rounds of at most 1,100 spans of less than 500 bytes are in use at a time.
  assert.ok(chunks.size <= 8, `${chunks.size} chunks`);
  assert.equal(buffers.size, 1);
});

test('a request that is not released keeps its bytes', () => {
  const { encode } = createSpanEncoder(LIMITS);
  const memory = new RequestMemory();
  const first = encodeRequest([encode(makeSpan(1))], memory);
  const second = encodeRequest([encode(makeSpan(2))], memory);
  second.release?.();
  const third = encodeRequest([encode(makeSpan(3))], memory);
  assert.equal(spansOf(first.bytes)[0]?.spanId, '00f067aa00000001');
  assert.equal(spansOf(third.bytes)[0]?.spanId, '00f067aa00000003');
  assert.equal(third.bytes.buffer, second.bytes.buffer);
});
