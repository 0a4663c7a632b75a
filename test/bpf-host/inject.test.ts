import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { call, encode, inTask, layoutCommand } from './client-memory.ts';
import {
  type Commands,
  type CounterName,
  type MessageOptions,
  message,
  type Replayed,
  recv,
  replayOne,
  send,
  state,
  targetCommand,
} from './driver.ts';

const SYN_SENT = 2;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
const FLAGS = FLAG.CLIENT_SOCKET | FLAG.INJECT | FLAG.TASK_SLOT | FLAG.TASK_TAG | FLAG.CONTEXTS;
const WITH_CALLS = FLAGS | FLAG.CALLS | FLAG.SOCKET;
const get = (path = '/a', more = '') => `GET ${path} HTTP/1.1\r\nHost: h\r\n${more}\r\n`;

const connect = (socket = 1) => state(SYN_SENT, socket);
const start = (flags: number, ...commands: Commands) =>
  replayOne([targetCommand(flags), layoutCommand(), inTask(7), ...commands]);
/** A connection that is known from its beginning. */
const fresh = (...commands: Commands) => start(FLAGS, connect(), ...commands);
/** A send that succeeds. */
const sent = (text: string, options: MessageOptions = {}): string[] => [
  message(text, options),
  send(text, options),
];

const HEADER = /traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])\r\n/;

/** The ids that were written behind the request line; fails when anything else has changed. */
function written(before: string, after = ''): string {
  const [header, traceId, spanId] = HEADER.exec(after) ?? [];
  assert(header !== undefined, `no header in ${JSON.stringify(after)}`);
  assert.equal(after.replace(header, ''), before);
  assert.equal(after.indexOf(header), before.indexOf('\r\n') + 2);
  return `${traceId}:${spanId}`;
}

const word = (value: number) => (value >>> 0).toString(16).padStart(8, '0');

/** Of the CLIENT spans, in order. */
const spanIds = ({ records }: Replayed) =>
  records.flatMap((record) => {
    if (record.kind !== 'client-request') return [];
    const { traceId0, traceId1, traceId2, traceId3, spanId0, spanId1 } = record.event;
    return [
      `${[traceId0, traceId1, traceId2, traceId3].map(word).join('')}:${word(spanId0)}${word(spanId1)}`,
    ];
  });

test('a request gets the context of its CLIENT span', () => {
  const result = fresh(...sent(get()), recv(OK), ...sent(get('/b')), recv(OK));
  const [first, second] = result.messages;
  assert.deepEqual([written(get(), first), written(get('/b'), second)], spanIds(result));
  assert.equal(result.counters.INJECTED, 2);
});

test('a call has the ids that its caller was told', () => {
  const result = start(
    WITH_CALLS,
    connect(100),
    ...call(1),
    inTask(900),
    ...encode(1),
    ...sent(get('/x'), { socket: 100 }),
  );
  const told = result.records.find((record) => record.kind === 'call');
  assert(told?.kind === 'call');
  const id = written(get('/x'), result.messages[0]);
  assert.equal(id.split(':')[1], `${word(told.event.spanId0)}${word(told.event.spanId1)}`);
  assert.deepEqual(spanIds(result), [id]);
});

test('what the sampler leaves out is told to the next service', () => {
  const result = start(FLAGS, 'set sampler_root 0', connect(), ...sent(get()));
  assert.equal(HEADER.exec(result.messages[0] ?? '')?.[3], '0');
  assert.deepEqual(spanIds(result), []);
});

test('wherever the message is cut into pieces', () => {
  const text = get('/path', 'accept: */*\r\n') + 'body'.repeat(20);
  for (let at = 1; at < text.length; at++) {
    const { messages } = fresh(message(text, { pieces: [at] }));
    written(text, messages[0]);
  }
  written(text, fresh(message(text, { pieces: Array.from({ length: 40 }, () => 2) })).messages[0]);
});

test('a failed helper leaves the message as it is', () => {
  for (let fail = 1; fail <= 4; fail++) {
    const { messages, counters } = fresh(message(get(), { pieces: [9], fail }));
    if (messages[0] === get()) assert.ok(counters.INJECT_MEMORY === 1 || fail === 1, `${fail}`);
    else written(get(), messages[0]); // only joining has failed
  }
});

interface Left {
  readonly name: string;
  readonly commands: Commands;
  readonly text: string;
  readonly options?: MessageOptions;
  readonly reason?: CounterName;
}

const LONG = `x: ${'y'.repeat(3000)}\r\n`;
const post = (length: number, body = '') =>
  `POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\n${body}`;

/** Messages behind which the last one goes out unchanged. */
const LEFT_ALONE: readonly Left[] = [
  { name: 'it has a traceparent', commands: [], text: get('/', 'TraceParent: x\r\n'), reason: 'INJECT_OWN' },
  {
    name: 'the head goes on in the next message',
    commands: [],
    text: get().slice(0, -2),
    reason: 'INJECT_PIECES',
  },
  {
    name: '… which is not the beginning',
    commands: sent(get().slice(0, 20)),
    text: get().slice(20),
    reason: 'INJECT_PIECES',
  },
  { name: 'no Host', commands: [], text: 'GET /aaaa HTTP/1.1\r\na: b\r\n\r\n', reason: 'INJECT_UNUSUAL' },
  { name: 'two hosts', commands: [], text: get('/', 'host: i\r\n'), reason: 'INJECT_UNUSUAL' },
  { name: 'HTTP/1.0', commands: [], text: get().replace('1.1', '1.0'), reason: 'INJECT_UNUSUAL' },
  { name: 'line feeds', commands: [], text: get().replaceAll('\r', ''), reason: 'INJECT_UNUSUAL' },
  { name: 'a line that goes on', commands: [], text: get('/', 'a: b\r\n c\r\n'), reason: 'INJECT_UNUSUAL' },
  { name: 'blanks in the target', commands: [], text: get('/a b'), reason: 'INJECT_UNUSUAL' },
  { name: 'a line protocol', commands: [], text: 'GET key1 key2 key3\r\n\r\n', reason: 'INJECT_UNUSUAL' },
  { name: '100 headers', commands: [], text: get('/', 'a: b\r\n'.repeat(99)), reason: 'INJECT_LARGE' },
  { name: 'more than 8 KiB', commands: [], text: get('/', LONG.repeat(3)), reason: 'INJECT_LARGE' },
  { name: 'CONNECT', commands: [], text: 'CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n' },
  { name: 'HTTP/2', commands: [], text: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' },
  { name: 'a body that looks like a request', commands: sent(post(100)), text: get() },
  {
    name: 'a body behind 100 Continue',
    commands: [...sent(post(100)), recv('HTTP/1.1 100 Continue\r\n\r\n')],
    text: get(),
  },
  {
    name: 'a chunk',
    commands: sent(`POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n`),
    text: get(),
  },
  {
    name: 'behind CONNECT',
    commands: [...sent('CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n'), recv('HTTP/1.1 200 OK\r\n\r\n')],
    text: get(),
  },
  {
    name: 'behind 101',
    commands: [...sent(get('/', 'Upgrade: x\r\n')), recv('HTTP/1.1 101 S\r\n\r\n')],
    text: get(),
  },
  {
    name: 'a second request before the answer',
    commands: sent(get()),
    text: get('/b'),
    reason: 'INJECT_PIPELINED',
  },
  {
    name: 'a response that is not read to its end',
    commands: [...sent(get()), recv('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')],
    text: get('/b'),
    reason: 'INJECT_PIPELINED',
  },
  {
    name: 'a response until the end of the connection',
    commands: [...sent(get()), recv('HTTP/1.1 200 OK\r\n\r\n')],
    text: get('/b'),
  },
  { name: 'the rest of a large write', commands: [message(post(50_000, 'x'.repeat(20_000)))], text: get() },
  { name: 'a full socket', commands: ['room 1 1046000 0 0'], text: get(), reason: 'INJECT_FULL' },
  {
    name: 'a socket that keeps little unsent',
    commands: ['room 1 0 100 150'],
    text: get(),
    reason: 'INJECT_FULL',
  },
  { name: 'sendfile', commands: [], text: get(), options: { call: 'other' } },
];

for (const { name, commands, text, options, reason } of LEFT_ALONE)
  test(`left alone: ${name}`, () => {
    const { messages, counters } = fresh(...commands, message(text, options));
    assert.equal(messages.at(-1), text);
    const counted = Object.keys(counters).filter((counter) => /^INJECT_/.test(counter));
    assert.deepEqual(counted, reason ? [reason] : []);
  });

const head = (size: number) => get('/', `x: ${'y'.repeat(size - get('/', 'x: \r\n').length)}\r\n`);
const encoded = [...call(1), inTask(900), ...encode(1)];

test('99 headers and 8 KiB less a header are not too much', () => {
  const many = get('/', 'a: b\r\n'.repeat(98));
  written(many, fresh(message(many)).messages[0]);
  for (const size of [8192 - 70, 8193 - 70]) {
    const large = head(size);
    const { messages } = start(
      WITH_CALLS,
      connect(100),
      ...encoded,
      message(large, { socket: 100, pieces: [100, 5000] }),
    );
    if (size === 8192 - 70) written(large, messages[0]);
    else assert.equal(messages[0], large);
  }
});

test('without a call the span needs the head: 4 KiB', () => {
  written(head(4096), fresh(message(head(4096))).messages[0]);
  assert.equal(fresh(message(head(4097))).messages[0], head(4097));
});

test('what an earlier head has left in the buffer is not read', () => {
  for (const size of [1_024, 4_096, 8_122]) {
    const { messages, counters } = start(
      WITH_CALLS,
      connect(),
      ...encoded,
      ...sent(head(size)),
      recv(OK),
      ...encoded,
      message(head(size + 1).slice(0, -1)),
      send('', { moved: -11 }),
      message(head(8_123)),
    );
    written(head(size), messages[0]);
    assert.deepEqual(messages.slice(1), [head(size + 1).slice(0, -1), head(8_123)]);
    assert.deepEqual([counters.INJECT_PIECES ?? 0, counters.INJECT_LARGE], [1, 1]);
  }
});

test('what follows a head in the same message stays', () => {
  const text = post(5000, 'z'.repeat(5000));
  written(text, fresh(message(text, { pieces: [4096] })).messages[0]);
  const unread = post(40, get());
  written(unread, fresh(message(unread)).messages[0]);
});

test('a send that was refused is made again, with the ids of the span that follows', () => {
  const result = fresh(message(get()), send(get(), { moved: -11 }), ...sent(get()));
  assert.equal(result.counters.INJECTED, 2);
  assert.deepEqual(spanIds(result), [written(get(), result.messages[1])]);
});

test('an old connection: only where hyper has just encoded a head', () => {
  const { messages, counters } = start(FLAGS, message(get()));
  assert.deepEqual([messages[0], counters.INJECT_OLD], [get(), 1]);
  const made = [...call(1), inTask(900), ...encode(1)];
  const known = start(WITH_CALLS, ...made, ...sent(get('/x'), { socket: 100 }));
  assert.deepEqual(spanIds(known), [written(get('/x'), known.messages[0])]);
});

test('an old connection is known after one request that was answered', () => {
  const result = start(FLAGS, ...sent(get()), recv(OK), ...sent(get('/b')));
  assert.deepEqual([result.messages[0], result.counters.INJECTED], [get(), 1]);
  assert.equal(spanIds(result)[1], written(get('/b'), result.messages[1]));
});

test('without the flag, and of another process, nothing is written', () => {
  assert.equal(start(FLAG.CLIENT_SOCKET, connect(), message(get())).messages[0], get());
  const other = fresh('target 2 65792 0', 'thread 2 20 0', message(get()));
  assert.equal(other.messages[0], get());
});

const OWN_IDS = { trace: '0af7651916cd43dd8448eb211c80319c', parent: 'b7ad6b7169203331' };
const ownHeader = (flags: string) => `traceparent: 00-${OWN_IDS.trace}-${OWN_IDS.parent}-${flags}\r\n`;

/** Trace, parent and whether it is the program's own, of the one CLIENT request. */
function context(result: Replayed) {
  const [event] = result.records.flatMap((record) =>
    record.kind === 'client-request' ? [record.event] : [],
  );
  assert(event);
  const [trace] = spanIds(result)[0]?.split(':') ?? [];
  return { trace, parent: `${word(event.parentId0)}${word(event.parentId1)}`, own: event.ownContext };
}

test("a context of the program's own is the CLIENT span's, when it is sampled and of another trace", () => {
  const text = get('/', ownHeader('01'));
  assert.deepEqual(context(fresh(...sent(text))), { ...OWN_IDS, own: true });
  const linked = [connect(100), ...encoded, ...sent(text, { socket: 100 })];
  assert.deepEqual(context(start(WITH_CALLS, ...linked)), { ...OWN_IDS, own: true });
  const unsampled = context(fresh(...sent(get('/', ownHeader('00')))));
  assert.deepEqual([unsampled.own, unsampled.parent], [false, '0'.repeat(16)]);
});

test('a forwarded context of the same trace leaves the parent as it is', () => {
  const served = recv(get('/served', ownHeader('01')), { socket: 9, flags: 0x40 });
  const forwarded = get('/', ownHeader('01'));
  const result = start(WITH_CALLS, served, connect(100), ...encoded, ...sent(forwarded, { socket: 100 }));
  const server = result.records.find((record) => record.kind === 'request');
  assert(server?.kind === 'request');
  const parent = `${word(server.event.spanId0)}${word(server.event.spanId1)}`;
  assert.deepEqual(context(result), { trace: OWN_IDS.trace, parent, own: false });
});

const stateLine = (value: string) => `tracestate: ${value}\r\n`;

/** What a call brings whose request came with these headers. */
function passedOn(incoming: string, outgoing = get('/')): string {
  const { messages } = start(
    WITH_CALLS,
    'set pass_tracestate 1',
    recv(get('/served', incoming), { socket: 9, flags: 0x40 }),
    connect(100),
    ...encoded,
    message(outgoing, { socket: 100 }),
  );
  const [sent = ''] = messages;
  const header = HEADER.exec(sent)?.[0] ?? assert.fail(sent);
  const [before = '', behind = ''] = sent.split(header);
  assert.equal(`${before}\r\n`, 'GET / HTTP/1.1\r\n\r\n');
  const rest = outgoing.slice(before.length);
  assert(behind.endsWith(rest));
  return behind.slice(0, -rest.length);
}

test('tracestate of the request that is worked for is passed on', () => {
  for (const size of [1, 126, 127, 128, 254]) {
    const line = stateLine(`a=${'x'.repeat(size)}`.slice(0, size));
    assert.equal(passedOn(ownHeader('01') + line), line);
    assert.equal(passedOn(line + ownHeader('01')), line);
  }
  assert.equal(passedOn(`${ownHeader('01')}TraceState:\t a=b \r\n`), stateLine('a=b'));
});

test('tracestate that is not passed on', () => {
  const line = stateLine('a=b');
  assert.equal(passedOn(line), '', 'without traceparent');
  assert.equal(passedOn(ownHeader('x1') + line), '', 'its traceparent is none');
  assert.equal(passedOn(ownHeader('01') + line + line), '', 'two of them');
  assert.equal(passedOn(ownHeader('01') + stateLine('x'.repeat(255))), '', 'too long');
  assert.equal(passedOn(ownHeader('01') + stateLine('')), '', 'empty');
  assert.equal(passedOn(ownHeader('01') + line, get('/', stateLine('c=d'))), '', 'the call has one');
  const many = get('/', 'a: b\r\n'.repeat(98));
  assert.equal(passedOn(ownHeader('01') + line, many), '', 'no room for two headers');
});
