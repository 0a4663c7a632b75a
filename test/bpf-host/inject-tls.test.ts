import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { type CallOptions, call, encode, inTask, layoutCommand, probe, structure } from './client-memory.ts';
import {
  type Commands,
  type CounterName,
  memory,
  type Replayed,
  replayOne,
  targetCommand,
} from './driver.ts';

const FLAGS =
  FLAG.CALLS | FLAG.CLIENT_LIBRARY | FLAG.INJECT_TLS | FLAG.TASK_SLOT | FLAG.TASK_TAG | FLAG.CONTEXTS;
const HTTPS: CallOptions = { scheme: 'https' };
const get = (more = '') => `GET /x HTTP/1.1\r\nHost: h\r\n${more}\r\n`;

const VEC = 0x5800_0000_0000n;
const BUFFER = 0x5800_0010_0000n;
const FILL = 0xa5;

interface Output {
  readonly text: string;
  readonly capacity?: number;
  /** Bytes of it that the process has touched: behind them no memory is there yet. */
  readonly mapped?: number;
}

/** The encoder's Vec as it is when it returns. */
function output({ text, capacity = 8192, mapped = capacity }: Output): string[] {
  const bytes = Buffer.alloc(mapped, FILL);
  bytes.write(text, 'latin1');
  const vec = structure(0x18, [
    [0, capacity],
    [8, BUFFER],
    [16, text.length],
  ]);
  return [memory(VEC, vec), memory(BUFFER, bytes)];
}

const returned = [probe('hyper_client_encoded'), `show ${VEC}`, `show ${BUFFER}`];

/** A request of call 1 is encoded. */
const encoded = (one: Output, call = HTTPS): string[] => [
  inTask(900),
  ...encode(1, call, 1, VEC),
  ...output(one),
  ...returned,
];

const start = (...commands: Commands): Replayed =>
  replayOne([targetCommand(FLAGS), layoutCommand(), inTask(7), ...commands]);

/** What the Vec holds. */
function held({ messages }: Replayed): string {
  const [vec = '', buffer = ''] = messages.slice(-2);
  const bytes = Buffer.from(vec, 'latin1');
  assert.equal(bytes.readBigUInt64LE(8), BUFFER);
  return buffer.slice(0, Number(bytes.readBigUInt64LE(16)));
}

const HEADER = /traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])\r\n/;
const word = (value: number) => (value >>> 0).toString(16).padStart(8, '0');

const written = (text: string, ids = HEADER) => {
  const [line = ''] = ids.exec(text) ?? [];
  return [line, text.replace(line, '')] as const;
};

test('a request under TLS gets the context of its CLIENT span, as its last header', () => {
  const text = get('accept: */*\r\n');
  const result = start(...call(1, HTTPS), ...encoded({ text }));
  const [line, rest] = written(held(result));
  assert.equal(rest, text);
  assert.ok(held(result).endsWith(`${line}\r\n`));
  const span = result.records.find((record) => record.kind === 'client-request');
  assert(span?.kind === 'client-request');
  const { spanId0, spanId1 } = span.event;
  assert.equal(HEADER.exec(line)?.[2], `${word(spanId0)}${word(spanId1)}`);
  assert.equal(result.counters.INJECTED_TLS, 1);
});

test('whatever length the head has', () => {
  for (let length = 0; length < 40; length++) {
    const text = get(`x: ${'y'.repeat(length)}\r\n`);
    const result = start(...call(1, HTTPS), ...encoded({ text, capacity: text.length + 70 }));
    assert.equal(written(held(result))[1], text);
    assert.equal(result.counters.INJECTED_TLS, 1);
  }
});

test('what the sampler leaves out is told to the next service', () => {
  const result = start('set sampler_root 0', ...call(1, HTTPS), ...encoded({ text: get() }));
  assert.match(held(result), /traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00\r\n\r\n$/);
});

interface Left extends Output {
  readonly name: string;
  readonly reason?: CounterName;
  readonly call?: CallOptions;
}

const LEFT_ALONE: readonly Left[] = [
  { name: 'it has a traceparent', text: get('Traceparent: x\r\n'), reason: 'INJECT_OWN' },
  { name: 'HTTP/1.0', text: get().replace('1.1', '1.0'), reason: 'INJECT_UNUSUAL' },
  { name: 'no end', text: get().slice(0, -2), reason: 'INJECT_UNUSUAL' },
  { name: 'a body behind it', text: `${get()}x`, reason: 'INJECT_UNUSUAL' },
  { name: 'another head before it', text: get() + get(), reason: 'INJECT_UNUSUAL' },
  { name: 'nothing', text: '', reason: 'INJECT_UNUSUAL' },
  { name: 'too large', text: get(`x: ${'y'.repeat(8192)}\r\n`), capacity: 16384, reason: 'INJECT_LARGE' },
  { name: 'too many headers', text: get('x: y\r\n'.repeat(99)), reason: 'INJECT_LARGE' },
  { name: 'no spare capacity', text: get(), capacity: get().length + 69, reason: 'INJECT_ROOM' },
  {
    name: 'a page of the spare capacity that is not there',
    text: get(),
    mapped: get().length + 40,
    reason: 'INJECT_WRITE',
  },
  { name: 'memory that is not there', text: get(), mapped: 8, reason: 'INJECT_WRITE' },
  { name: 'more length than capacity', text: get(), capacity: 8, mapped: 4096, reason: 'INJECT_UNUSUAL' },
  { name: 'plaintext', text: get(), call: { scheme: 'http' } },
];

for (const { name, reason, call: options = HTTPS, ...one } of LEFT_ALONE) {
  test(`left alone: ${name}`, () => {
    const result = start(...call(1, options), ...encoded(one, options));
    assert.equal(held(result), one.text.slice(0, one.mapped ?? one.text.length));
    assert.equal(result.counters.INJECTED_TLS, undefined);
    if (reason) assert.equal(result.counters[reason], 1);
  });
}

test('a write that fails leaves the head as it was', () => {
  for (let fails = 1; fails <= 3; fails++) {
    const result = start(...call(1, HTTPS), `set host_failing_write ${fails}`, ...encoded({ text: get() }));
    assert.equal(held(result), get());
    assert.equal(result.counters.INJECT_WRITE, 1);
  }
});

test('once for each encoded request, and only for its own', () => {
  const twice = start(
    ...call(1, HTTPS),
    ...encoded({ text: get() }),
    ...output({ text: get() }),
    ...returned,
  );
  assert.equal(held(twice), get());
  assert.equal(twice.counters.INJECTED_TLS, 1);
  const unknown = start(...encoded({ text: get() }));
  assert.equal(held(unknown), get());
  const ids = start(...call(1, HTTPS), ...encoded({ text: get() }), inTask(8), ...returned);
  assert.equal(ids.counters.INJECTED_TLS, 1);
});

test('tracestate of the request that the call is made for goes along, where there is room', () => {
  const state = `rojo=${'0'.repeat(200)}`;
  const incoming = `GET /in HTTP/1.1\r\nHost: h\r\ntraceparent: 00-${'1'.repeat(32)}-${'2'.repeat(16)}-01\r\ntracestate: ${state}\r\n\r\n`;
  const flags = FLAGS | FLAG.SOCKET;
  const run = (one: Output) =>
    replayOne([
      'set pass_tracestate 1',
      targetCommand(flags),
      layoutCommand(),
      inTask(7),
      `recv 5 plain ${Buffer.from(incoming, 'latin1').toString('hex')}`,
      ...call(1, HTTPS),
      ...encoded(one),
    ]);
  const text = get();
  const both = held(run({ text }));
  assert.match(both, new RegExp(`traceparent: 00-1{32}-[0-9a-f]{16}-01\r\ntracestate: ${state}\r\n\r\n$`));
  const alone = held(run({ text, capacity: text.length + 80 }));
  assert.match(alone, /traceparent: 00-1{32}-[0-9a-f]{16}-01\r\n\r\n$/);
});
