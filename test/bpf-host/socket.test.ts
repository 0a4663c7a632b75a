import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import {
  type Commands,
  compileReplay,
  recv,
  replay,
  replayOne,
  send,
  state,
  TARGET,
  targetCommand,
  wholeHeads,
} from './driver.ts';
import { summary } from './summary.ts';

const GET = 'GET / HTTP/1.1\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
const MSG_PEEK = 2;
const TCP = { finWait1: 4, finWait2: 5, close: 7, closeWait: 8, lastAck: 9, closing: 11 };

const check = (name: string, commands: Commands, expected: readonly string[]) =>
  test(name, () => assert.deepEqual(summary(replayOne([TARGET, ...commands])), expected));

const DONE = ['> 0 GET / HTTP/1.1', '< 0 200'];

check('a peek is no read', [recv(GET, { flags: MSG_PEEK }), recv(GET), send(OK)], DONE);
check(
  'only the bytes that were moved count',
  [recv(`${GET}${GET}`, { moved: 18 }), send(`${OK}${OK}`, { moved: 38 })],
  DONE,
);
check(
  'failed calls are none',
  [recv(GET, { moved: -11 }), recv(GET, { moved: 0 }), recv(GET), send(OK)],
  DONE,
);
check(
  'a short write, then the rest',
  [recv(GET), send(OK, { moved: 5 }), send(OK.slice(5), { call: 'vector:2,3' })],
  DONE,
);
check(
  'sendfile in a body',
  [
    recv(GET + GET),
    send('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n'),
    send('', { call: 'other', moved: 400 }),
    send('', { call: 'other', moved: 600 }),
    send('HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n'),
  ],
  ['> 0 GET / HTTP/1.1', '> 1 GET / HTTP/1.1', '< 0 200', '< 1 404'],
);
check(
  'a call with unknown buffers that moves a request: lost',
  [recv(GET), send(OK), recv('', { call: 'other', moved: 18 }), send(OK)],
  [...DONE, 'CONNECTION_LOST 1', 'SYSCALL_UNKNOWN 1'],
);
check('other processes', ['thread 2 2 0', recv(GET), send(OK)], []);
for (const pid of [1, 16_385, 32_769])
  check(
    `three processes whose numbers have the same place: ${pid}`,
    [
      TARGET,
      TARGET.replace(' 1 ', ' 16385 '),
      TARGET.replace(' 1 ', ' 32769 '),
      `thread ${pid} 7 0`,
      recv(GET),
      send(OK),
    ],
    DONE,
  );
check(
  'a fourth one of them is not traced',
  [TARGET.replace(' 1 ', ' 16385 '), 'thread 49153 7 0', recv(GET)],
  [],
);

for (const [name, value] of Object.entries(TCP)) {
  const ends = name !== 'finWait2' && name !== 'closeWait';
  check(
    `${name} before the response`,
    [recv(GET), state(value)],
    ['> 0 GET / HTTP/1.1', ...(ends ? ['closed 1'] : [])],
  );
}
check('closed in a head', [recv('GET / HT'), state(TCP.close)], ['closed 0']);
check('closed when answered', [recv(GET), send(OK), state(TCP.close)], DONE);
check('closed once', [recv(GET), state(TCP.finWait1), state(TCP.close)], ['> 0 GET / HTTP/1.1', 'closed 1']);
check(
  'closed by an exit',
  [recv(GET), 'exiting 1', state(TCP.close)],
  ['> 0 GET / HTTP/1.1', 'closed 1 exiting'],
);
check(
  'a socket of its own after each close',
  [recv(GET), send(OK), state(TCP.close), 'close 1', recv(GET), send(OK)],
  [...DONE, ...DONE.map((line) => `#2 ${line}`)],
);

check(
  '64 requests may be open',
  [recv(GET.repeat(64)), send(OK.repeat(64))],
  [
    ...Array.from({ length: 64 }, (_, i) => `> ${i} GET / HTTP/1.1`),
    ...Array.from({ length: 64 }, (_, i) => `< ${i} 200`),
  ],
);
check(
  'more than 64 open: lost, and said',
  [recv(GET.repeat(65)), send(OK.repeat(65)), recv(GET)],
  [
    ...Array.from({ length: 64 }, (_, i) => `> ${i} GET / HTTP/1.1`),
    ...['closed 64 lost', 'CONNECTION_LOST 2', 'PIPELINE_DEEP 1'],
  ],
);

test('two threads, one reads and one writes', () => {
  const exchange = (i: number) => [`thread 1 ${2 + (i % 2)} 0`, recv(GET), 'thread 1 9 0', send(OK)];
  const result = replayOne([TARGET, ...Array.from({ length: 100 }, (_, i) => exchange(i)).flat()]);
  const expected = Array.from({ length: 100 }, (_, i) => [`> ${i} GET / HTTP/1.1`, `< ${i} 200`]).flat();
  assert.deepEqual(summary(result), expected);
});

// ---- large heads ----

const large = (size: number, line: number) => {
  let text = 'GET /large HTTP/1.1\r\n';
  while (text.length < size) text += `x-${text.length}: ${'v'.repeat(line)}\r\n`;
  return `${text}traceparent: 00-${'a'.repeat(32)}-${'b'.repeat(16)}-01\r\nContent-Length: 3\r\n\r\n`;
};

for (const size of [900, 1100, 4000, 4200, 8000, 8500, 12_000, 17_000, 70_000]) {
  for (const line of [10, 1000, 5000, 9000]) {
    test(`a head of ${size} bytes with lines of ${line}, whole and in pieces`, () => {
      const head = large(size, line);
      const cuts = [head.length, 1, 7, 100, 127, 128, 129, 1023, 1024, 1025, 4095, 4096, 4097, 6000];
      const results = replay(cuts.map((cut) => [TARGET, ...pieces(`${head}abc${GET}`, cut), send(OK + OK)]));
      for (const [i, result] of results.entries()) {
        const [first] = [...wholeHeads(result.records)];
        assert(first);
        const [event, text] = first;
        assert.equal(event.headSize, head.length);
        assert.equal(event.parentId0, 0xbbbbbbbb | 0);
        if (event.head === '') assert(text.length >= 8192 && text.length < 16_384, `${text.length} bytes`);
        else assert.equal(text.length, head.length);
        assert(head.startsWith(text), `cut at ${cuts[i]}`);
        const truncated = event.head === '' ? ['HEAD_TRUNCATED 1'] : [];
        assert.deepEqual(summary(result), [
          ...['> 0 GET /large HTTP/1.1', '> 1 GET / HTTP/1.1', '< 0 200', '< 1 200'],
          ...truncated,
        ]);
      }
    });
  }
}

function pieces(text: string, size: number): string[] {
  const list: string[] = [];
  for (let at = 0; at < text.length; at += size) list.push(recv(text.slice(at, at + size)));
  return list;
}

test('a target of 3,000 and of 20,000 bytes', () => {
  for (const size of [3000, 20_000]) {
    const text = `GET /${'t'.repeat(size)} HTTP/1.1\r\nHost: a\r\n\r\n`;
    for (const result of replay(
      [text.length, 1, 1000].map((cut) => [TARGET, ...pieces(text, cut), send(OK)]),
    )) {
      const [[event, head] = assert.fail()] = [...wholeHeads(result.records)];
      assert.equal(event.headSize, text.length);
      assert(text.startsWith(head) && head.length >= Math.min(text.length, 8192));
    }
  }
});

test('chunks without end: lost, not misread', () => {
  const body = '1\r\na\r\n'.repeat(30_000);
  const result = replayOne([
    TARGET,
    recv(`POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n${body}0\r\n\r\n${GET}`),
    send(OK),
    recv(GET),
  ]);
  assert.deepEqual(summary(result), ['> 0 POST / HTTP/1.1', '< 0 200', 'CONNECTION_LOST 1']);
});

// ---- trace context and sampling ----

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const PARENT = 'b7ad6b7169203331';
const VALID = `00-${TRACE}-${PARENT}-01`;

interface Context {
  readonly parent: boolean;
  readonly trace: string;
  readonly flags: number;
}

const hex = (...words: number[]) => words.map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('');

function contexts(headers: readonly string[], settings: readonly string[] = []): (Context | undefined)[] {
  const cases = headers.map((header) => [TARGET, ...settings, recv(`GET / HTTP/1.1\r\n${header}\r\n`)]);
  return replay(cases).map(({ records }) => {
    const [first] = records;
    if (first?.kind !== 'request') return undefined;
    const { traceId0, traceId1, traceId2, traceId3, hasParent, traceFlags, spanId0, spanId1 } = first.event;
    assert((spanId0 | spanId1) !== 0);
    const parent = hex(first.event.parentId0, first.event.parentId1);
    assert.equal(parent, hasParent ? PARENT : '0'.repeat(16));
    return { parent: hasParent, trace: hex(traceId0, traceId1, traceId2, traceId3), flags: traceFlags };
  });
}

const ACCEPTED = [
  ...[VALID, `${VALID} \t`, `\t  ${VALID}`, `00-${TRACE}-${PARENT}-03`, `01-${TRACE}-${PARENT}-01`],
  ...[`01-${TRACE}-${PARENT}-01-what-may-come`, `cc-${TRACE}-${PARENT}-01`],
];
const REFUSED = [
  ...['', '00', `ff-${TRACE}-${PARENT}-01`, `${VALID}-`, `${VALID}0`, `01-${TRACE}-${PARENT}-01x`],
  ...[VALID.toUpperCase(), VALID.replace('a', 'A'), VALID.replace('a', 'g'), VALID.replace('0a', ':a')],
  ...[`00-${'0'.repeat(32)}-${PARENT}-01`, `00-${TRACE}-${'0'.repeat(16)}-01`, `00-${TRACE}-${PARENT}`],
  ...[
    `00-${TRACE}-${PARENT}-0`,
    `00-${TRACE}-${PARENT}-0g`,
    `00_${TRACE}-${PARENT}-01`,
    `00-${TRACE}_${PARENT}-01`,
  ],
  ...[
    `00-${TRACE}-${PARENT}_01`,
    `0 -${TRACE}-${PARENT}-01`,
    ` 00-${TRACE} -${PARENT}-01`,
    `${VALID},${VALID}`,
  ],
];
const header = (value: string) => `traceparent: ${value}\r\n`;

test('a valid traceparent is continued', () => {
  for (const [i, context] of contexts(ACCEPTED.map(header)).entries()) {
    assert.equal(context?.trace, TRACE, ACCEPTED[i]);
    assert(context.parent && context.flags & 1);
  }
  assert.equal(contexts([header(`00-${TRACE}-${PARENT}-03`)])[0]?.flags, 3);
  assert.equal(contexts([`TraceParent:${VALID}\r\n`])[0]?.trace, TRACE);
});

test('an invalid one, or two, start a new trace', () => {
  const wrong = [
    ...REFUSED.map(header),
    header(VALID) + header(VALID),
    header('x') + header(VALID),
    `x-${header(VALID)}`,
  ];
  for (const [i, context] of contexts(wrong).entries()) {
    assert.equal(context?.parent, false, wrong[i]);
    assert.notEqual(context.trace, TRACE, wrong[i]);
    assert.match(context.trace, /[1-9a-f]/);
  }
});

test('every digit of the ids, in every place', () => {
  const digits = '0123456789abcdef';
  for (let shift = 0; shift < 16; shift++) {
    const trace = (digits.slice(shift) + digits.slice(0, shift)).repeat(2);
    assert.equal(contexts([header(`00-${trace}-${PARENT}-01`)])[0]?.trace, trace);
  }
});

test('a parent that is not sampled: no span, and counted', () => {
  const result = replayOne([
    TARGET,
    recv(`GET / HTTP/1.1\r\n${header(`00-${TRACE}-${PARENT}-00`)}\r\n`),
    send(OK),
  ]);
  assert.deepEqual(summary(result), ['UNSAMPLED 1']);
});

test('samplers', () => {
  const sampled = header(VALID);
  const unsampled = header(`00-${TRACE}-${PARENT}-00`);
  const seen = (...settings: string[]) =>
    contexts([sampled, unsampled, ''], settings).map((one) => one !== undefined);
  assert.deepEqual(seen(), [true, false, true]);
  assert.deepEqual(seen('set sampler_root 0'), [true, false, false]);
  assert.deepEqual(seen('set sampler_parent_unsampled 1'), [true, true, true]);
  assert.deepEqual(seen('set sampler_parent_sampled 0'), [false, false, true]);
  assert.deepEqual(seen('set extract_traceparent 0'), [true, true, true]);
  // The low 63 bits of 8448eb211c80319c are 0.0335 of 2^63.
  const ratio = (part: number) => `set sampler_ratio ${BigInt(part * 1e6) * (2n ** 63n / 1_000_000n)}`;
  assert.deepEqual(seen('set sampler_parent_sampled 2', ratio(0.0334))[0], false);
  assert.deepEqual(seen('set sampler_parent_sampled 2', ratio(0.0336))[0], true);
});

test('a quarter of root spans', () => {
  const quarter = `set sampler_ratio ${2n ** 61n}`;
  const result = replayOne([
    TARGET,
    'set sampler_root 2',
    quarter,
    ...Array(2000)
      .fill(recv(GET))
      .flatMap((r) => [r, send(OK)]),
  ]);
  const count = result.records.filter(({ kind }) => kind === 'request').length;
  assert(count > 400 && count < 600, `${count} of 2000`);
  assert.equal(result.counters.UNSAMPLED, 2000 - count);
  assert.equal(result.records.filter(({ kind }) => kind === 'response').length, count);
});

// ---- what else a record holds ----

test('addresses, times, task and thread', () => {
  const v6 = (last: string) => `20010db8${'0'.repeat(22)}${last}`;
  const flags = FLAG.SOCKET | FLAG.TASK_SLOT | FLAG.TASK_TAG;
  const result = replayOne([
    targetCommand(flags),
    ...['thread 1 5 77', `address 1 10 ${v6('01')} 8443 ${v6('02')} 50123`, 'set host_clock 1000000'],
    ...[recv('GET / '), 'set host_clock 2000000', recv('HTTP/1.1\r\n\r\n'), 'thread 1 6 0', send(OK)],
  ]);
  const [request, response] = result.records.filter(({ kind }) => kind !== 'piece');
  assert(request?.kind === 'request' && response?.kind === 'response');
  assert.equal(request.event.peerAddress, '2001:db8::2');
  assert.equal(request.event.peerPort, 50_123);
  assert.equal(request.event.startNs, 1_001_000);
  assert.equal(request.event.timeNs, 2_001_000);
  assert.deepEqual([request.event.pid, request.event.tid, request.event.task], [1, 5, 77]);
  // A response names the task that has read its request, whoever writes it.
  assert.deepEqual([response.event.tid, response.event.task], [6, 77]);
  assert.equal(request.event.source, 'socket');
});

test('a Unix socket has no addresses', () => {
  const [record] = replayOne([TARGET, 'address 1 1 - 0 - 0', recv(GET)]).records;
  assert(record?.kind === 'request');
  assert.equal(record.event.peerAddress, undefined);
  assert.equal(record.event.peerPort, 0);
});

test('a response head, when asked for', () => {
  const result = replayOne([TARGET, 'set capture_response_heads 1', recv(GET), send(`${OK}`)]);
  const response = result.records.find(({ kind }) => kind === 'response');
  assert(response?.kind === 'response');
  assert.equal(response.event.head, OK);
});

test('processes: exec of a known file, exit, panic', () => {
  const result = replayOne([
    ...['thread 9 9 0', recv(GET), 'file 5 6 1 0', 'exec 5 6', recv(GET, { socket: 2 }), 'panic'],
    ...['exec 5 7', recv(GET, { socket: 3 }), 'exec 5 6', 'exit'],
  ]);
  assert.deepEqual(summary(result), ['exec', '> 0 GET / HTTP/1.1', 'panic', 'exec', 'exec', 'exit']);
});

test('a full ring and full maps are counted', () => {
  const full = replayOne([TARGET, 'set host_ring_room 0', recv(GET), send(OK)]);
  assert.deepEqual(summary(full), ['RING_FULL 2']);
  const maps = replayOne([TARGET, 'set host_map_limit 1', recv(GET), recv(GET, { socket: 2 })]);
  assert.deepEqual(summary(maps), ['> 0 GET / HTTP/1.1', 'MAP_FULL 1']);
});

test('random inputs', async () => {
  const { execFileSync } = await import('node:child_process');
  const output = execFileSync(compileReplay(), ['--fuzz', '50000', '1'], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(output, '50000 inputs, 50000 connections\n');
});
