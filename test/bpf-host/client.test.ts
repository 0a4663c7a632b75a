import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { type Commands, recv, replay, replayOne, send, targetCommand } from './driver.ts';
import { summary } from './summary.ts';

const TARGET = targetCommand(FLAG.CLIENT_SOCKET);
const TCP = { finWait1: 4, close: 7, lastAck: 9 };
const ECONNRESET = 104;

const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`;
const post = (path: string, body: string, headers = `Content-Length: ${body.length}\r\n`) =>
  `POST ${path} HTTP/1.1\r\n${headers}\r\n${body}`;
const ok = (body = 'hi') => `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const status = (code: number, headers = 'Content-Length: 0\r\n') => `HTTP/1.1 ${code} x\r\n${headers}\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const LOOKS_LIKE = 'HTTP/1.1 500 x\r\n\r\nGET /body HTTP/1.1\r\nHost: b\r\n\r\n';
const chunks = (...list: string[]) =>
  `${list.map((data) => `${data.length.toString(16)}\r\n${data}\r\n`).join('')}0\r\n\r\n`;

/** All that is told of requests that no probe links: who has made them is not known. */
function lines(commands: Commands): string[] {
  return linesOf(replayOne([TARGET, ...commands]));
}
const linesOf = (result: ReturnType<typeof replayOne>) =>
  summary(result).flatMap((line) => (line.startsWith('CALL_UNLINKED') ? [] : [line.replace(/ alone$/, '')]));

interface Case {
  readonly name: string;
  readonly steps: readonly (readonly ['write' | 'read', string])[];
  readonly expected: readonly string[];
}

const w = (text: string) => ['write', text] as const;
const r = (text: string) => ['read', text] as const;
const pair = (n: number, line: string, code = 200) => [`=> ${n} ${line} HTTP/1.1`, `<= ${n} ${code}`];

const CASES: readonly Case[] = [
  {
    name: 'keep-alive',
    steps: [
      w(get('/a')),
      r(ok()),
      w(get('/b')),
      r(status(404)),
      w(post('/c', 'abc')),
      r(ok(LOOKS_LIKE)),
      w(get('/d')),
    ],
    expected: [
      ...[...pair(0, 'GET /a'), ...pair(1, 'GET /b', 404), ...pair(2, 'POST /c')],
      '=> 3 GET /d HTTP/1.1',
    ],
  },
  {
    name: 'pipelined',
    steps: [
      w(get('/a') + post('/b', LOOKS_LIKE) + get('/c')),
      r(ok() + status(201)),
      w(get('/d')),
      r(ok() + ok()),
    ],
    expected: [
      ...['=> 0 GET /a HTTP/1.1', '=> 1 POST /b HTTP/1.1', '=> 2 GET /c HTTP/1.1', '<= 0 200', '<= 1 201'],
      ...['=> 3 GET /d HTTP/1.1', '<= 2 200', '<= 3 200'],
    ],
  },
  {
    name: 'HEAD, 204 and 304 have no body',
    steps: [
      w('HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n'),
      r(`HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n`),
      ...[w(get('/b')), r(status(204, 'Content-Length: 5\r\n')), w(get('/c')), r(status(304, CHUNKED))],
      ...[w(get('/d')), r(ok())],
    ],
    expected: [
      ...[...pair(0, 'HEAD /a'), ...pair(1, 'GET /b', 204), ...pair(2, 'GET /c', 304), ...pair(3, 'GET /d')],
    ],
  },
  {
    name: 'chunks in both directions',
    steps: [
      w(post('/a', chunks(LOOKS_LIKE, 'x'), CHUNKED)),
      r(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n${chunks(LOOKS_LIKE, '\r\n\r\n')}`),
      ...[w(get('/b')), r(ok())],
    ],
    expected: [...pair(0, 'POST /a'), ...pair(1, 'GET /b')],
  },
  {
    name: 'a body until the connection closes is no error',
    steps: [w(get('/a')), r(`HTTP/1.1 200 OK\r\n\r\n${LOOKS_LIKE}`), r(LOOKS_LIKE)],
    expected: pair(0, 'GET /a'),
  },
  {
    name: 'Expect: 100-continue',
    steps: [
      w('POST /a HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'),
      ...[r('HTTP/1.1 100 Continue\r\n\r\n'), w('GET /'), r(status(103, 'Link: a\r\n') + ok())],
      ...[w(get('/b')), r(ok())],
    ],
    expected: [...pair(0, 'POST /a'), ...pair(1, 'GET /b')],
  },
  {
    name: 'the answer comes before the body',
    steps: [
      w('POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe'),
      r(status(413)),
      w('llo'),
      w(get('/b')),
      r(ok()),
    ],
    expected: [...pair(0, 'POST /a', 413), ...pair(1, 'GET /b')],
  },
  {
    name: 'CONNECT, then a tunnel',
    steps: [w('CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n'), r(status(200, '')), w(get('/no')), r(ok())],
    expected: pair(0, 'CONNECT a:443'),
  },
  {
    name: 'CONNECT that is refused',
    steps: [
      ...[w('CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n'), r(status(407))],
      ...[w('CONNECT a:443 HTTP/1.1\r\nProxy-Authorization: b\r\n\r\n'), r(status(200, '')), w(get('/no'))],
    ],
    expected: [...pair(0, 'CONNECT a:443', 407), ...pair(1, 'CONNECT a:443')],
  },
  {
    name: '101 Switching Protocols',
    steps: [w(`GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n`), r(status(101, '')), w(get('/no')), r(ok())],
    expected: pair(0, 'GET /ws', 101),
  },
  {
    name: 'a response to nothing: no more is told of the connection',
    steps: [w(get('/a')), r(ok() + status(408)), w(get('/b')), r(ok())],
    expected: pair(0, 'GET /a'),
  },
  {
    name: 'a response that is none',
    steps: [w(get('/a')), r('hello\r\n\r\n'), w(get('/b')), r(ok())],
    expected: ['=> 0 GET /a HTTP/1.1', 'client closed 1 lost', 'CONNECTION_LOST 1'],
  },
  {
    name: 'malformed chunks of a response',
    steps: [w(get('/a') + get('/b')), r(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\nxyz\r\n`), w(get('/c'))],
    expected: [
      ...[
        '=> 0 GET /a HTTP/1.1',
        '=> 1 GET /b HTTP/1.1',
        '<= 0 200',
        'client closed 2 lost',
        'CONNECTION_LOST 1',
      ],
    ],
  },
  {
    name: 'HTTP/2 with prior knowledge',
    steps: [
      w('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'),
      r('\0\0\0\x04\0\0\0\0\0'),
      w('\0\0\0\x01'),
    ],
    expected: ['HTTP2 1'],
  },
  {
    name: 'no HTTP',
    steps: [
      w('SELECT * FROM a WHERE b\n'),
      r('garbage\r\n'),
      w('POST office, not a request\r\n\r\n'),
      r(ok()),
    ],
    expected: [],
  },
];

type Step = Case['steps'][number];
const commands = (steps: readonly Step[], call = 'plain') =>
  steps.map(([direction, text]) => (direction === 'write' ? send : recv)(text, { call }));

for (const { name, steps, expected } of CASES)
  test(name, () => assert.deepEqual(lines(commands(steps)), expected));

/** The text of a head that came in several writes is not known: it counts as cut. */
const headless = (line: string) => line.replace(/^=> (\d+) .*/, '=> $1');
const BEFORE = [w(get('/before')), r(ok())];
const SKIPPED = new Set(['HTTP/2 with prior knowledge', 'no HTTP']);

/** In a connection that is known for a client's. */
function assertAnyCut(name: string, variants: readonly Commands[], expected: readonly string[]): void {
  const later = expected.map((line) =>
    headless(line.replace(/^([<=>]+|client closed) (\d+)/, (_, kind, n) => `${kind} ${Number(n) + 1}`)),
  );
  const whole = [...pair(0, 'GET /before'), ...later].map(headless);
  const results = replay(variants.map((variant) => [TARGET, ...commands(BEFORE), ...variant]));
  for (const [i, result] of results.entries())
    assert.deepEqual(
      linesOf(result)
        .map(headless)
        .filter((line) => !line.startsWith('HEAD_TRUNCATED')),
      whole,
      `${name}: ${variants[i]?.join('; ')}`,
    );
}

function* cutsInTwo(steps: readonly Step[]): Generator<Step[]> {
  for (const [i, [direction, text]] of steps.entries())
    for (let at = 1; at < text.length; at++)
      yield steps.toSpliced(i, 1, [direction, text.slice(0, at)], [direction, text.slice(at)]);
}

for (const { name, steps, expected } of CASES) {
  if (SKIPPED.has(name)) continue;
  test(`${name}: cut anywhere in two, in single bytes, in iovecs`, () => {
    const bytes = steps.flatMap(([direction, text]) => Array.from(text, (byte): Step => [direction, byte]));
    const vectors = ['vector:1', 'vector:1,2,3,4,5', 'vector:0,7,0,0,30', 'message:2,2,2,2', 'message:1000'];
    const variants = [...[...cutsInTwo(steps), bytes].map((cut) => commands(cut))];
    assertAnyCut(name, [...variants, ...vectors.map((call) => commands(steps, call))], expected);
  });
}

test('a head that is written in one piece is told whole, up to 4096 bytes', () => {
  const head = (size: number) => `${`GET /a HTTP/1.1\r\nX: ${'x'.repeat(size)}`.slice(0, size - 4)}\r\n\r\n`;
  const sizes = [100, 1023, 1024, 1025, 4095, 4096, 4097, 20_000];
  const results = replay(sizes.map((size) => [TARGET, send(head(size) + get('/b')), recv(ok() + ok())]));
  for (const [i, { records, counters }] of results.entries()) {
    const size = sizes[i] ?? 0;
    const [first, second] = records;
    assert(first?.kind === 'client-request' && second?.kind === 'client-request');
    assert.equal(first.event.headSize, size);
    assert.equal(first.event.head, size <= 4096 ? head(size) : '');
    assert.equal(counters.HEAD_TRUNCATED, size <= 4096 ? undefined : 1);
    assert.equal(second.event.head, get('/b'));
    assert.equal(records.length, 4);
  }
});

test('a vector of head and body', () => {
  const head = 'POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\n';
  assert.deepEqual(
    lines([send(`${head}hello`, { call: `vector:${head.length},5` }), recv(ok())]),
    pair(0, 'POST /a'),
  );
  assert.deepEqual(
    lines([send(head), send('', { call: 'other', moved: 5 }), recv(ok())]),
    pair(0, 'POST /a'),
  );
});

test('addresses, times and the first write’s start', () => {
  const address = 'address 1 2 7f000001 40000 0a000009 8080';
  const { records } = replayOne([
    ...[
      TARGET,
      address,
      'set host_clock 1000000',
      send('POST /a HTTP/1.1\r\nContent-'),
      'set host_clock 2000000',
    ],
    ...[send('Length: 0\r\n\r\n'), recv(ok())],
  ]);
  const [request, response] = records;
  assert(request?.kind === 'client-request' && response?.kind === 'client-response');
  assert.deepEqual([request.event.peerAddress, request.event.peerPort], ['10.0.0.9', 8080]);
  assert(request.event.startNs <= 1_002_000 && request.event.timeNs > 2_000_000);
  assert.deepEqual([request.event.source, request.event.tls, request.event.socket], ['socket', false, 0]);
});

// ---- ends ----

const OPEN = ['=> 0 GET /a HTTP/1.1'];
const end = (name: string, commands: Commands, expected: readonly string[]) =>
  test(name, () => assert.deepEqual(lines(commands), expected));

end(
  'reset with a request open',
  [send(get('/a')), `state 1 ${TCP.close} ${ECONNRESET}`],
  [...[...OPEN, `client closed 1 errno ${ECONNRESET}`]],
);
end(
  'closed in order with a request open',
  [send(get('/a')), `state 1 8`, `state 1 ${TCP.lastAck}`],
  [...[...OPEN, 'client closed 1']],
);
end(
  'closed in a response’s head',
  [send(get('/a')), recv('HTTP/1.1 200'), `state 1 ${TCP.close}`],
  [...[...OPEN, 'client closed 1']],
);
end(
  'closed in a response’s body',
  [send(get('/a')), recv(ok('hello').slice(0, -2)), `state 1 ${TCP.close}`],
  [...[...OPEN, '<= 0 200']],
);
end('closed when answered', [send(get('/a')), recv(ok()), `state 1 ${TCP.close}`], [...OPEN, '<= 0 200']);
end(
  'told once',
  [send(get('/a')), `state 1 ${TCP.lastAck}`, `state 1 ${TCP.close}`],
  [...OPEN, 'client closed 1'],
);
end(
  'by the end of the process',
  [send(get('/a')), 'exiting 1', `state 1 ${TCP.close}`],
  [...[...OPEN, 'client closed 1 exiting']],
);
end(
  'with two open',
  [send(get('/a') + get('/b')), recv(ok()), `state 1 ${TCP.close} 32`],
  [...[...OPEN, '=> 1 GET /b HTTP/1.1', '<= 0 200', 'client closed 2 errno 32']],
);
end(
  'written after the peer has reset it',
  [send(get('/a')), recv(ok()), `state 1 ${TCP.close} 104`, send(get('/b'))],
  [...[...OPEN, '<= 0 200', '=> 1 GET /b HTTP/1.1', 'client closed 2 errno 104']],
);

// ---- which connections are a client's ----

end(
  'met in the middle: a response is read, then requests are written',
  [recv(ok()), send(get('/b')), recv(ok())],
  [...['=> 0 GET /b HTTP/1.1', '<= 0 200']],
);
end(
  'met in a body: what is read is none of a server’s, and later requests are followed',
  [recv('body\r\nGET / HTTP/1.1\r\n\r\n'), send(get('/b')), recv(ok())],
  ['=> 0 GET /b HTTP/1.1', '<= 0 200'],
);
end(
  '16 looks at what is written there, and no more',
  [
    ...[
      recv(ok()),
      ...Array<string>(16).fill(send('not a request line\r\n\r\n')),
      send(get('/b')),
      recv(ok()),
    ],
  ],
  [],
);
end(
  'every method that is known by its first bytes',
  [
    ...['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'].flatMap((method, i) => [
      send(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`, { socket: i + 1 }),
    ]),
  ],
  ['GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE'].map(
    (method, i) => `${i > 0 ? `#${i + 1} ` : ''}=> 0 ${method} / HTTP/1.1`,
  ),
);

const HELLO = '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03';
const tls = (flags: number, ...commands: Commands) => summary(replayOne([targetCommand(flags), ...commands]));

test('a client that begins TLS is told where it is asked for', () => {
  const watched = FLAG.CLIENT_SOCKET | FLAG.WATCH_CLIENT_TLS;
  const session = [send(HELLO), recv(HELLO), send(`\x17\x03\x03${get('/a')}`), recv(`\x17\x03\x03${ok()}`)];
  assert.deepEqual(tls(watched, ...session), ['needed-client']);
  assert.deepEqual(tls(watched, ...session, send(HELLO, { socket: 2 })), ['needed-client', 'needed-client']);
  assert.deepEqual(tls(FLAG.CLIENT_SOCKET | FLAG.WATCH_TLS, ...session), []);
  assert.deepEqual(tls(watched | FLAG.WATCH_TLS, recv(HELLO), send(HELLO)), ['needed-server']);
  assert.deepEqual(tls(watched, send('\x17\x03\x03\0\x10'), send(HELLO)), [], 'met in the middle');
});

test('without TARGET_CLIENT_SOCKET a client is silent, without TARGET_SOCKET a server', () => {
  const both = [send(get('/a')), recv(ok()), recv(get('/b'), { socket: 2 }), send(ok(), { socket: 2 })];
  assert.deepEqual(tls(FLAG.SOCKET, ...both), ['#2 > 0 GET /b HTTP/1.1', '#2 < 0 200']);
  assert.deepEqual(tls(FLAG.CLIENT_SOCKET, ...both), [
    ...['=> 0 GET /a HTTP/1.1 alone', '<= 0 200', 'CALL_UNLINKED 1'],
  ]);
  assert.deepEqual(tls(FLAG.LIBRARY, ...both), []);
});
