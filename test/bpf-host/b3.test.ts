import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recv, replay, TARGET } from './driver.ts';

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const SPAN = 'b7ad6b7169203331';
const PARENT = '05e3ac9a4f6e3b90';
const W3C = `traceparent: 00-${'1'.repeat(32)}-${'2'.repeat(16)}-01\r\n`;
const SINGLE = 1;
const MULTI = 2;

const word = (value: number) => (value >>> 0).toString(16).padStart(8, '0');

/** Trace, parent and flags of the request's span; a parent that is not sampled is followed, too. */
function contextOf(headers: string, extract: number): string | undefined {
  const [result] = replay([
    [
      TARGET,
      `set extract_b3 ${extract}`,
      'set sampler_parent_unsampled 1',
      recv(`GET / HTTP/1.1\r\n${headers}\r\n`),
    ],
  ]);
  const [request] =
    result?.records.flatMap((record) => (record.kind === 'request' ? [record.event] : [])) ?? [];
  assert(request);
  if (!request.hasParent) return undefined;
  const { traceId0, traceId1, traceId2, traceId3, parentId0, parentId1 } = request;
  return `${[traceId0, traceId1, traceId2, traceId3].map(word).join('')} ${word(parentId0)}${word(parentId1)}`;
}

const b3 = (value: string) => `b3: ${value}\r\n`;
const WHOLE = `${TRACE} ${SPAN}`;
const SHORT = `${'0'.repeat(16)}${TRACE.slice(16)} ${SPAN}`;

test('one header', () => {
  for (const rest of ['', '-0', '-1', '-d', `-1-${PARENT}`, `-0-${PARENT}  `])
    assert.equal(contextOf(b3(`${TRACE}-${SPAN}${rest}`), SINGLE), WHOLE, rest);
  assert.equal(contextOf(`B3:${TRACE.slice(16)}-${SPAN}-1\r\n`, SINGLE), SHORT);
});

test('one header that is none', () => {
  const wrong = [
    ...['0', '1', 'd', '', TRACE, `${TRACE}-`, `${TRACE}-${SPAN.slice(1)}`, `${TRACE}-${SPAN}-`],
    ...[
      `${TRACE}-${SPAN}-2`,
      `${TRACE}-${SPAN}-11`,
      `${TRACE.toUpperCase()}-${SPAN}-1`,
      `0${TRACE}-${SPAN}-1`,
    ],
    ...[
      `${'0'.repeat(32)}-${SPAN}-1`,
      `${TRACE}-${'0'.repeat(16)}-1`,
      `${TRACE}_${SPAN}-1`,
      `${TRACE.slice(2)}-${SPAN}-1`,
    ],
  ];
  for (const value of wrong) assert.equal(contextOf(b3(value), SINGLE), undefined, value);
  assert.equal(contextOf(`b3x: ${TRACE}-${SPAN}-1\r\n`, SINGLE), undefined);
});

const trace = (value = TRACE) => `X-B3-TraceId: ${value}\r\n`;
const span = (value = SPAN) => `X-B3-SpanId: ${value}\r\n`;

test('several headers, in any order', () => {
  const sampled = 'X-B3-Sampled: 1\r\n';
  for (const headers of [
    [trace(), span(), sampled],
    [sampled, span(), trace()],
    [span(), trace()],
  ])
    assert.equal(contextOf(headers.join(''), MULTI), WHOLE);
  assert.equal(contextOf(trace(TRACE.slice(16)).toLowerCase() + span(), MULTI), SHORT);
  assert.equal(contextOf(trace(), MULTI), undefined);
  assert.equal(contextOf(trace() + span(SPAN.slice(1)), MULTI), undefined);
  assert.equal(contextOf(trace(`${TRACE}0`) + span(), MULTI), undefined);
});

test('what is asked for is read, and a valid traceparent comes first', () => {
  const one = b3(`${TRACE}-${SPAN}-1`);
  const many = trace(TRACE.slice(16)) + span();
  assert.deepEqual(
    [0, MULTI].map((extract) => contextOf(one, extract)),
    [undefined, undefined],
  );
  assert.deepEqual(
    [0, SINGLE].map((extract) => contextOf(many, extract)),
    [undefined, undefined],
  );
  assert.equal(contextOf(many + one, SINGLE | MULTI), WHOLE);
  assert.equal(contextOf(one + many, SINGLE | MULTI), WHOLE);
  assert.equal(contextOf(one + W3C, SINGLE), `${'1'.repeat(32)} ${'2'.repeat(16)}`);
  assert.equal(contextOf(one + W3C.replace('-01', '-x1'), SINGLE), WHOLE);
});

test('samplers follow it', () => {
  const spans = (headers: string) =>
    replay([[TARGET, 'set extract_b3 3', recv(`GET / HTTP/1.1\r\n${headers}\r\n`)]])[0]?.counters.UNSAMPLED ??
    0;
  const one = (state: string) => spans(b3(`${TRACE}-${SPAN}${state}`));
  assert.deepEqual(['-1', '-d', '-0', ''].map(one), [0, 0, 1, 1]);
  const many = (more: string) => spans(`${more}${trace()}${span()}`);
  const states = [
    'X-B3-Sampled: 1\r\n',
    'X-B3-Sampled: true\r\n',
    'X-B3-Flags: 1\r\n',
    'X-B3-Sampled: 0\r\n',
    '',
  ];
  assert.deepEqual(states.map(many), [0, 0, 0, 1, 1]);
});
