import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { answer, CLIENTS, check, get, OK, responded, run, serve, TASKS, written } from './client-commands.ts';
import {
  type CallOptions,
  call,
  callAgain,
  callByUri,
  callInFrame,
  drop,
  encode,
  inTask,
  layoutCommand,
  newTask,
  parse,
  parseInside,
  writeHead,
} from './client-memory.ts';
import { type Commands, memory, recv, replayOne, send, targetCommand, thread } from './driver.ts';
import { summary } from './summary.ts';

const SERVED = '> 0 GET /a HTTP/1.1';
const inRequest = (name: string, commands: Commands, expected: readonly string[]) =>
  check(name, [serve('/a'), ...commands], [SERVED, ...expected]);

const FULL: CallOptions = { headers: [8, 8] };
const NONE: CallOptions = { headers: [0, 0] };
const HTTPS: CallOptions = { scheme: 'https' };

// ---- what a call says ----

inRequest(
  'method, scheme, authority and path',
  [
    ...call(1, { method: 2, scheme: 'https', authority: 'user:word@a.example:8443', path: '/b?c=d' }),
    ...call(2, { method: 9, scheme: 'other', authority: '', path: '' }),
    ...callByUri(3, { method: 8 }),
  ],
  [
    ...['call 1 POST https://user:word@a.example:8443/b?c=d in /a', 'call 2 extension other:// in /a'],
    'call 3 PATCH http://h/x in /a',
  ],
);
inRequest(
  'a request in the frame of a function',
  [...callInFrame(1, 0x1d0), ...callInFrame(2, -96), ...callInFrame(3, 0x7fff)],
  [1, 2, 3].map((id) => `call ${id} GET http://h/x in /a`),
);
inRequest('a request without scheme is refused by the client', call(1, { scheme: 'none' }), []);
inRequest(
  'what is too long is cut',
  [
    ...call(1, { authority: 'a'.repeat(256), path: `/${'p'.repeat(1023)}` }),
    ...call(2, { authority: 'a'.repeat(257) }),
    ...call(3, { path: `/${'p'.repeat(70_000)}` }),
  ],
  [
    `call 1 GET http://${'a'.repeat(256)}/${'p'.repeat(1023)} in /a`,
    `call 2 GET http://${'a'.repeat(256)}/x… in /a`,
    `call 3 GET http://h/${'p'.repeat(1023)}… in /a`,
  ],
);
inRequest('memory that can not be read', ['probe hyper_client_call 0 0 4096 0'], ['READ_FAILED 1']);

// ---- from the call to its connection ----

const linked = (id = 1, connection = 2) => [
  `call ${id} GET http://h/x in /a`,
  `#${connection} => 0 call ${id}`,
  `#${connection} <= 0 200 call ${id}`,
];

inRequest('by the HeaderMap, which has room', [...call(1), ...written(1), ...responded()], linked());
inRequest(
  'by the path, where it has none',
  [...call(1, FULL), ...written(1, FULL), ...responded()],
  linked(),
);
inRequest(
  'by the path, where it is empty',
  [...call(1, NONE), ...written(1, NONE), ...responded()],
  linked(),
);
inRequest(
  'by what calls the encoder, where that is inlined',
  [...callInFrame(1, 0x1d0), inTask(900), ...writeHead(1), send(get('/x'), { socket: 100 }), ...responded()],
  linked(),
);
inRequest(
  'a call that goes through two functions counts once',
  [...call(1), ...callAgain(1), ...written(1), ...responded(), ...drop(1, 'returned')],
  linked(),
);
inRequest(
  'the next request in the same memory is a call of its own',
  [
    ...[...call(1), ...written(1), ...responded(), ...drop(1, 'returned')],
    ...[...call(1), ...written(1), ...responded()],
  ],
  [...linked(), 'call 2 GET http://h/x in /a', '#2 => 1 call 2', '#2 <= 1 200 call 2'],
);
inRequest(
  'also when the first was dropped before it was written',
  [...call(1), ...drop(1, 'waiting'), ...call(1), ...written(1), ...responded()],
  ['call 1 GET http://h/x in /a', 'end 1 suspended', ...linked(2)],
);
inRequest(
  'calls of two tasks, written in the other order',
  [
    ...[...call(1), newTask(8), inTask(8), ...call(2)],
    ...[...written(2, {}, 101), ...written(1), ...responded(), ...responded(OK, 101)],
  ],
  [
    ...['call 1 GET http://h/x in /a', 'call 2 GET http://h/x in /a', '#2 => 0 call 2', '#3 => 0 call 1'],
    ...['#3 <= 0 200 call 1', '#2 <= 0 200 call 2'],
  ],
);
inRequest(
  'the head is captured when asked for',
  ['set capture_client_heads 1', ...call(1), ...written(1), ...responded()],
  ['call 1 GET http://h/x in /a', '#2 => 0 call 1 GET /x HTTP/1.1', '#2 <= 0 200 call 1'],
);
inRequest(
  'what the connection writes for an unknown caller is nobody’s, though its task was born in a request',
  [newTask(900), ...written(1), ...responded()],
  ['#2 => 0 GET /x HTTP/1.1 alone', '#2 <= 0 200', 'CALL_UNLINKED 1'],
);
inRequest(
  'the path "/" is replaced by a constant: no link without room in the HeaderMap',
  [...call(1, { ...FULL, path: '/' }), ...written(1, { ...FULL, path: '/' }), ...responded()],
  ['call 1 GET http://h/ in /a', '#2 => 0 GET /x HTTP/1.1 alone', '#2 <= 0 200', 'CALL_UNLINKED 1'],
);
inRequest(
  'of a connection only the next head is the call’s',
  [...call(1), ...written(1), ...responded(), inTask(900), send(get('/y'), { socket: 100 })],
  [...linked(), '#2 => 1 GET /y HTTP/1.1 alone', 'NO_CONTEXT 1'],
);
inRequest(
  'the body of a call looks like a request',
  [
    ...[...call(1), inTask(900), ...encode(1)],
    send('POST /x HTTP/1.1\r\nContent-Length: 18\r\n\r\nGET / HTTP', { socket: 100 }),
    ...[send('/1.1\r\n\r\n', { socket: 100 }), recv(OK, { socket: 100 })],
  ],
  linked(),
);

test('without TARGET_CALLS the probes say nothing, and the socket tells', () => {
  const target = targetCommand((TASKS | CLIENTS) & ~FLAG.CALLS);
  const commands = [
    serve('/a'),
    ...call(1),
    newTask(900),
    ...written(1),
    ...responded(),
    ...drop(1, 'waiting'),
  ];
  assert.deepEqual(summary(replayOne([target, layoutCommand(), inTask(7), ...commands])), [
    ...[SERVED, '#2 => 0 GET /x HTTP/1.1 in /a', '#2 <= 0 200'],
  ]);
});

// ---- under TLS ----

const secure = (id = 1) => [`call ${id} GET https://h/x in /a`, `=> 0 tls call ${id}`, `<= 0 200 call ${id}`];
const onConnection = (...commands: Commands) => [inTask(900), ...commands, inTask(7)];
const encoded = (id: number, options = HTTPS, connection = 1) =>
  onConnection(...encode(id, options, connection));
const parsed = (text = OK, connection = 1) => onConnection(...parse(text, connection));
/** The library's connections are counted with the sockets. */
const second = (lines: readonly string[]) => lines.map((line) => (/^[<=]/.test(line) ? `#2 ${line}` : line));

inRequest(
  'what is encoded is the request, what is parsed the response',
  [...call(1, HTTPS), ...encoded(1), ...parsed(), ...drop(1, 'returned', HTTPS)],
  second(secure()),
);
inRequest(
  'the same where encoder and parser are inlined: the connection is known by its place',
  [
    ...[...call(1, HTTPS), ...onConnection(...writeHead(1, HTTPS))],
    ...[...onConnection(...parseInside(OK)), ...drop(1, 'returned', HTTPS)],
  ],
  second(secure()),
);
inRequest(
  'a parser that has its context in another register',
  [...call(1, HTTPS), ...encoded(1), ...onConnection(...parse(OK, 1, 'r8')), ...drop(1, 'returned', HTTPS)],
  second(secure()),
);
inRequest(
  'interim and incomplete heads are no response',
  [
    ...[
      ...call(1, HTTPS),
      ...encoded(1),
      ...parsed('HTTP/1.1 100 Continue\r\n\r\n'),
      ...parsed('HTTP/1.1 20'),
    ],
    ...[...parsed(''), ...parsed('HTTP/1.1 103 x\r\nLink: a\r\n\r\n'), ...parsed('HTTP/1.1 200 OK\r\n')],
    ...parsed(),
  ],
  second(secure()),
);
inRequest(
  '101 is one',
  [...call(1, HTTPS), ...encoded(1), ...parsed('HTTP/1.1 101 x\r\n\r\n')],
  second([...secure().slice(0, 2), '<= 0 101 call 1']),
);
inRequest(
  'once',
  [...call(1, HTTPS), ...encoded(1), ...parsed(), ...parsed(), ...parsed(OK, 2)],
  second(secure()),
);
inRequest(
  'keep-alive',
  [
    ...[...call(1, HTTPS), ...encoded(1), ...parsed(), ...call(2, HTTPS), ...encoded(2)],
    ...parsed('HTTP/1.1 404 x\r\n\r\n'),
  ],
  second([...secure(), 'call 2 GET https://h/x in /a', '=> 1 tls call 2', '<= 1 404 call 2']),
);
inRequest(
  'connections at once',
  [
    ...[...call(1, HTTPS), ...call(2, HTTPS), ...encoded(2, HTTPS, 2), ...encoded(1)],
    ...[...parsed(), ...parsed('HTTP/1.1 500 x\r\n\r\n', 2)],
  ],
  [
    ...['call 1 GET https://h/x in /a', 'call 2 GET https://h/x in /a', '#2 => 0 tls call 2'],
    ...['#3 => 0 tls call 1', '#3 <= 0 200 call 1', '#2 <= 0 500 call 2'],
  ],
);
inRequest(
  'plaintext is left to the socket',
  [...call(1), ...written(1), ...parsed(), ...responded(), ...parsed()],
  linked(),
);

const hello = onConnection(send('\x16\x03\x01\x02', { socket: 100 }), recv('\x16\x03\x03', { socket: 100 }));
const record = onConnection(send('\x17\x03\x03', { socket: 100 }));

inRequest(
  'the socket’s end is the end of an open request',
  [...hello, ...call(1, HTTPS), ...encoded(1), ...record, 'state 100 7 104', ...drop(1, 'returned')],
  [
    ...['call 1 GET https://h/x in /a', '#3 => 0 tls call 1', '#3 client closed 1 errno 104 call 1'],
    'end 1 returned written',
  ],
);
inRequest(
  'not of an answered one, nor of one above another socket',
  [
    ...[...hello, ...call(1, HTTPS), ...encoded(1), ...record, ...parsed()],
    ...[send('\x16\x03\x01\x02', { socket: 101 }), 'state 101 7 104', 'state 100 7 104'],
  ],
  ['call 1 GET https://h/x in /a', '#3 => 0 tls call 1', '#3 <= 0 200 call 1'],
);

test('where the library is the source for plaintext too, the socket is silent', () => {
  const flags = (TASKS | CLIENTS | FLAG.CLIENT_LIBRARY_PLAINTEXT) & ~FLAG.CLIENT_SOCKET;
  const commands = [serve('/a'), ...call(1), ...written(1), ...parsed(), ...responded()];
  assert.deepEqual(summary(replayOne([targetCommand(flags), layoutCommand(), inTask(7), ...commands])), [
    ...[SERVED, 'call 1 GET http://h/x in /a', '#2 => 0 call 1', '#2 <= 0 200 call 1'],
  ]);
});

test('the response names its peer when the same task has read last', () => {
  const address = 'address 100 2 7f000001 40000 0a000009 8443';
  const hello = onConnection(
    send('\x16\x03\x01\x02', { socket: 100 }),
    recv('\x16\x03\x03', { socket: 100 }),
  );
  const peers = (...commands: Commands) =>
    run(address, ...hello, ...call(1, HTTPS), ...encoded(1), ...commands).records.flatMap((record) =>
      record.kind === 'client-response' ? [`${record.event.peerAddress}:${record.event.peerPort}`] : [],
    );
  assert.deepEqual(peers(...parsed()), ['10.0.0.9:8443']);
  assert.deepEqual(peers(inTask(901), ...parse(OK)), ['undefined:0']);
});

test('redirections bring their heads, others do not', () => {
  const heads = (...commands: Commands) =>
    run(...commands).records.flatMap((record) =>
      record.kind === 'client-response' ? [record.event.head] : [],
    );
  const redirect = 'HTTP/1.1 302 x\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n';
  const tls = [...call(1, HTTPS), ...encoded(1)];
  const plain = [...call(1), ...written(1)];
  assert.deepEqual(heads(...tls, ...parsed(`${redirect}body`)), [redirect]);
  assert.deepEqual(heads(...plain, ...responded(redirect)), [redirect]);
  assert.deepEqual(heads(...tls, ...parsed()), ['']);
  assert.deepEqual(heads(...plain, ...responded()), ['']);
  assert.deepEqual(heads('set capture_client_heads 1', ...plain, ...responded()), [OK]);
});

// ---- sampling ----

const TRACE = '0af7651916cd43dd8448eb211c80319c';
const withParent = (flags: string) =>
  recv(`GET /a HTTP/1.1\r\ntraceparent: 00-${TRACE}-b7ad6b7169203331-${flags}\r\n\r\n`);
const everything = [
  ...[...call(1), ...written(1), ...responded(), ...drop(1, 'returned'), ...call(2, HTTPS), ...encoded(2)],
  ...[
    ...parsed(),
    ...drop(2, 'returned', HTTPS),
    send(get('/w'), { socket: 200 }),
    recv(OK, { socket: 200 }),
  ],
];

check('under a request that is not sampled nothing is', [withParent('00'), ...everything], ['UNSAMPLED 4']);
check(
  'unless the sampler says so',
  ['set sampler_parent_unsampled 1', withParent('00'), ...call(1)],
  [SERVED, 'call 1 GET http://h/x in /a'],
);
check('a call under nothing is a root', ['set sampler_root 0', ...everything], ['UNSAMPLED 3']);

test('trace and flags are the parent’s, the ids in the call and on the wire are the same', () => {
  const { records } = run(withParent('03'), ...call(1), ...written(1));
  const spans = records.map((record) => {
    assert(record.kind === 'request' || record.kind === 'call' || record.kind === 'client-request');
    return record.event;
  });
  const [server, made, wire] = spans;
  assert(server && made && wire);
  for (const { traceId0, traceId1, traceId2, traceId3, traceFlags } of spans) {
    const words = [traceId0, traceId1, traceId2, traceId3].map((word) =>
      (word >>> 0).toString(16).padStart(8, '0'),
    );
    assert.deepEqual([words.join(''), traceFlags], [TRACE, 3]);
  }
  assert.deepEqual([made.parentId0, made.parentId1], [server.spanId0, server.spanId1]);
  assert.deepEqual([wire.spanId0, wire.spanId1], [made.spanId0, made.spanId1]);
  assert.deepEqual([wire.parentId0, wire.parentId1], [server.spanId0, server.spanId1]);
  assert.notDeepEqual([made.spanId0, made.spanId1], [server.spanId0, server.spanId1]);
});

test('a quarter of roots, and all of each or nothing', () => {
  const one = [...call(1), ...written(1), ...responded(), ...drop(1, 'returned')];
  const settings = ['set sampler_root 2', `set sampler_ratio ${2n ** 61n}`];
  const { records, counters } = run(...settings, ...Array(1000).fill(one).flat());
  const count = (kind: string) => records.filter((record) => record.kind === kind).length;
  const calls = count('call');
  assert(calls > 190 && calls < 310, `${calls} of 1000`);
  assert.deepEqual(
    [count('client-request'), count('client-response'), counters.UNSAMPLED],
    [calls, calls, 1000 - calls],
  );
});

// ---- no task ----

check(
  'a call of a thread',
  [
    thread(3),
    ...call(1),
    thread(4),
    ...encode(1),
    send(get('/x'), { socket: 100 }),
    recv(OK, { socket: 100 }),
  ],
  ['call 1 GET http://h/x no_task', '=> 0 call 1', '<= 0 200 call 1', 'NO_TASK 1'],
);
check(
  'memory of an encoder that can not be read',
  ['probe hyper_client_encode 0 0 4096 0'],
  ['READ_FAILED 1'],
);
check(
  'nor a parser’s',
  [
    ...call(1, HTTPS),
    ...encoded(1),
    'probe hyper_client_parse 0 0 4096 4096',
    memory(0x9000n, Buffer.alloc(1)),
  ],
  ['call 1 GET https://h/x no_context', '=> 0 tls call 1', 'NO_CONTEXT 1'],
);
inRequest(
  'an answer of the server ends nothing',
  [...call(1), answer(), ...written(1)],
  [...['call 1 GET http://h/x in /a', '< 0 200', '#2 => 0 call 1']],
);
