import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recv, replay, replayOne, send, TARGET } from './driver.ts';
import { summary } from './summary.ts';

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: a.example\r\n${headers}\r\n`;
const post = (path: string, body: string, headers = '') =>
  `POST ${path} HTTP/1.1\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`;
const ok = (body = 'hi', headers = '') =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${headers}\r\n${body}`;
const status = (code: number, headers = 'Content-Length: 0\r\n') => `HTTP/1.1 ${code} x\r\n${headers}\r\n`;
const chunked = (...chunks: string[]) =>
  `${chunks.map((data) => `${data.length.toString(16)}\r\n${data}\r\n`).join('')}0\r\n\r\n`;
const CHUNKED = 'Transfer-Encoding: chunked\r\n';
const LOOKS_LIKE = 'GET /body HTTP/1.1\r\nHost: b\r\n\r\nHTTP/1.1 500 x\r\n\r\n';

type Step = readonly ['<' | '>', string];
/** Bytes that the server reads (`>`) and writes (`<`), and the summary of what is reported. */
interface Case {
  readonly name: string;
  readonly steps: readonly Step[];
  readonly expected: readonly string[];
  /** Why a cut may change the outcome. */
  readonly onlyWhole?: string;
}

const read = (text: string): Step => ['>', text];
const written = (text: string): Step => ['<', text];
/** A request and its answer with nothing between. */
const pair = (n: number, line: string, code = 200) => [`> ${n} ${line} HTTP/1.1`, `< ${n} ${code}`];

const CASES: readonly Case[] = [
  {
    name: 'a request',
    steps: [read(get('/')), written(ok())],
    expected: pair(0, 'GET /'),
  },
  {
    name: 'keep-alive',
    steps: [
      read(get('/a')),
      written(ok()),
      read(get('/b')),
      written(status(404)),
      read(get('/c')),
      written(ok('')),
    ],
    expected: [...pair(0, 'GET /a'), ...pair(1, 'GET /b', 404), ...pair(2, 'GET /c')],
  },
  {
    name: 'pipelined',
    steps: [
      read(get('/a') + post('/b', LOOKS_LIKE) + get('/c')),
      written(ok() + status(201) + ok(LOOKS_LIKE)),
    ],
    expected: [
      ...['> 0 GET /a HTTP/1.1', '> 1 POST /b HTTP/1.1', '> 2 GET /c HTTP/1.1'],
      ...['< 0 200', '< 1 201', '< 2 200'],
    ],
  },
  {
    name: 'pipelined and interleaved',
    steps: [read(get('/a') + get('/b')), written(ok()), read(get('/c')), written(ok() + ok())],
    expected: [
      ...[
        '> 0 GET /a HTTP/1.1',
        '> 1 GET /b HTTP/1.1',
        '< 0 200',
        '> 2 GET /c HTTP/1.1',
        '< 1 200',
        '< 2 200',
      ],
    ],
  },
  {
    name: 'a body that looks like a request',
    steps: [read(post('/', LOOKS_LIKE)), written(ok(LOOKS_LIKE)), read(get('/next')), written(ok())],
    expected: [...pair(0, 'POST /'), ...pair(1, 'GET /next')],
  },
  {
    name: 'chunks with extensions and trailers that look like messages',
    steps: [
      read(
        `POST / HTTP/1.1\r\n${CHUNKED}\r\n` +
          `00${LOOKS_LIKE.length.toString(16).toUpperCase()};name="GET / HTTP/1.1"\r\n${LOOKS_LIKE}\r\n` +
          `1 ; x\r\n\n\r\n0\r\nX: GET / HTTP/1.1\r\nTrailer: b\r\n\r\n`,
      ),
      written(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n${chunked(LOOKS_LIKE, '\r\n\r\n', '0')}`),
      read(get('/next')),
      written(ok()),
    ],
    expected: [...pair(0, 'POST /'), ...pair(1, 'GET /next')],
  },
  {
    name: 'chunked responses under pipelining',
    steps: [
      read(get('/a') + get('/b')),
      written(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\n${chunked(LOOKS_LIKE)}${status(503)}`),
    ],
    expected: ['> 0 GET /a HTTP/1.1', '> 1 GET /b HTTP/1.1', '< 0 200', '< 1 503'],
  },
  {
    name: 'Expect: 100-continue',
    steps: [
      read('POST / HTTP/1.1\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'),
      written('HTTP/1.1 100 Continue\r\n\r\n'),
      read('GET /'),
      written(ok()),
      read(get('/next')),
      written(ok()),
    ],
    expected: [...pair(0, 'POST /'), ...pair(1, 'GET /next')],
  },
  {
    name: 'several interim responses',
    steps: [
      read(get('/')),
      written('HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'),
      written(ok()),
    ],
    expected: pair(0, 'GET /'),
  },
  {
    name: 'HTTP/1.0',
    steps: [
      read('GET /old HTTP/1.0\r\n\r\n'),
      written('HTTP/1.0 200 OK\r\n\r\nHTTP/1.1 500 not a response\r\n\r\n'),
    ],
    expected: ['> 0 GET /old HTTP/1.0', '< 0 200'],
  },
  {
    name: 'HEAD, 204 and 304 have no body, whatever they say',
    steps: [
      read(`HEAD /a HTTP/1.1\r\n\r\n${get('/b')}${get('/c')}HEAD /d HTTP/1.1\r\n\r\n${get('/e')}`),
      written(status(200, 'Content-Length: 100\r\n') + status(204, CHUNKED)),
      written(status(304, 'Content-Length: 7\r\n') + status(200, CHUNKED) + ok()),
    ],
    expected: [
      ...['> 0 HEAD /a HTTP/1.1', '> 1 GET /b HTTP/1.1', '> 2 GET /c HTTP/1.1'],
      ...['> 3 HEAD /d HTTP/1.1', '> 4 GET /e HTTP/1.1'],
      ...['< 0 200', '< 1 204', '< 2 304', '< 3 200', '< 4 200'],
    ],
  },
  {
    name: 'CONNECT, then a tunnel',
    steps: [
      read('CONNECT a:1 HTTP/1.1\r\n\r\n'),
      written(status(200, '')),
      read(LOOKS_LIKE),
      written(LOOKS_LIKE),
    ],
    expected: pair(0, 'CONNECT a:1'),
  },
  {
    name: 'CONNECT refused, then a request',
    steps: [read('CONNECT a:1 HTTP/1.1\r\n\r\n'), written(status(403)), read(get('/')), written(ok())],
    expected: [...pair(0, 'CONNECT a:1', 403), ...pair(1, 'GET /')],
  },
  {
    name: 'CONNECT behind a request',
    steps: [
      read(`${get('/')}CONNECT a:1 HTTP/1.1\r\n\r\n`),
      written(ok()),
      read('tunnel bytes sent early'),
      written(status(200, '')),
      read(LOOKS_LIKE),
    ],
    expected: ['> 0 GET / HTTP/1.1', '> 1 CONNECT a:1 HTTP/1.1', '< 0 200', '< 1 200'],
  },
  {
    name: 'an upgrade',
    steps: [
      read(get('/ws', 'Connection: upgrade\r\nUpgrade: websocket\r\n')),
      written('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'),
      read(LOOKS_LIKE),
      written(LOOKS_LIKE),
    ],
    expected: pair(0, 'GET /ws', 101),
  },
  {
    name: 'an early response',
    steps: [
      read('POST / HTTP/1.1\r\nContent-Length: 36\r\n\r\n'),
      written(status(413)),
      read('GET /body HTTP/1.1\r\nContent-Length: '),
      read(get('/next')),
      written(ok()),
    ],
    expected: [...pair(0, 'POST /', 413), ...pair(1, 'GET /next')],
  },
  {
    name: 'LF alone ends lines',
    steps: [read('GET / HTTP/1.1\nContent-Length: 3\n\nabcGET /b HTTP/1.1\n\n'), written(ok() + ok())],
    expected: ['> 0 GET / HTTP/1.1', '> 1 GET /b HTTP/1.1', '< 0 200', '< 1 200'],
  },
  {
    name: 'empty lines before a request',
    steps: [read(`\r\n\r\n\n${get('/a')}`), written(ok()), read('\r\n'), read(get('/b')), written(ok())],
    expected: [...pair(0, 'GET /a'), ...pair(1, 'GET /b')],
  },
  {
    name: 'UTF-8 in the target',
    steps: [read(get('/\xc3\xa9')), written(ok())],
    expected: pair(0, 'GET /\xc3\xa9'),
  },
  {
    name: 'the same Content-Length twice',
    steps: [read(`POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3 \r\n\r\nabc${get('/b')}`)],
    expected: ['> 0 POST / HTTP/1.1', '> 1 GET /b HTTP/1.1'],
  },
  {
    name: 'two Content-Lengths: no request, and nothing behind it',
    steps: [read(`POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc${get('/b')}`)],
    expected: [],
  },
  ...['-1', '+5', '5, 5', '5 5', '0x5', '', '99999999999999999999'].map(
    (value): Case => ({
      name: `Content-Length: ${value}`,
      steps: [read(`POST / HTTP/1.1\r\nContent-Length: ${value}\r\n\r\nhello${get('/b')}`)],
      expected: [],
    }),
  ),
  ...['chunked', 'gzip, chunked', 'CHUNKED', 'gzip ,\tChunked \t', 'gzip\r\nTransfer-Encoding: chunked'].map(
    (value): Case => ({
      name: `Transfer-Encoding: ${JSON.stringify(value)}`,
      steps: [
        read(
          `POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: ${value}\r\n\r\n${chunked(LOOKS_LIKE)}`,
        ),
        read(get('/b')),
      ],
      expected: ['> 0 POST / HTTP/1.1', '> 1 GET /b HTTP/1.1'],
    }),
  ),
  ...['identity', 'gzip', 'xchunked', 'chunked, gzip', 'gzip chunked', 'chunked;a=b', ''].map(
    (value): Case => ({
      name: `Transfer-Encoding: ${value} has no length`,
      steps: [
        read(`POST / HTTP/1.1\r\nTransfer-Encoding: ${value}\r\n\r\n${chunked(get('/body'))}`),
        read(get('/b')),
      ],
      expected: ['> 0 POST / HTTP/1.1', 'CONNECTION_LOST 1'],
    }),
  ),
  {
    name: 'a response whose last coding is not chunked lasts until the connection closes',
    steps: [
      read(get('/a') + get('/b')),
      written(`HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx${status(500)}`),
    ],
    expected: ['> 0 GET /a HTTP/1.1', '> 1 GET /b HTTP/1.1', '< 0 200'],
  },
  ...['g\r\n', '\r\n', ';x\r\n', '-1\r\n', '1234567890abcdef\r\n', '1\r\nab\r\n'].map(
    (bytes): Case => ({
      name: `a malformed chunk ${JSON.stringify(bytes)}: lost`,
      steps: [
        read(`POST / HTTP/1.1\r\n${CHUNKED}\r\n${bytes}${get('/b')}`),
        written(status(400)),
        read(get('/c')),
      ],
      expected: [...pair(0, 'POST /', 400), 'CONNECTION_LOST 1'],
    }),
  ),
  {
    name: 'a malformed chunk in a response: open requests end, no more are reported',
    steps: [
      read(get('/a') + get('/b')),
      written(`HTTP/1.1 200 OK\r\n${CHUNKED}\r\nxyz\r\n`),
      read(get('/c')),
      written(ok()),
    ],
    expected: [
      ...['> 0 GET /a HTTP/1.1', '> 1 GET /b HTTP/1.1', '< 0 200', 'closed 2 lost', 'CONNECTION_LOST 1'],
    ],
  },
  {
    name: 'a response that is none',
    steps: [read(get('/a')), written('hello\r\n\r\n'), read(get('/c')), written(ok())],
    expected: ['> 0 GET /a HTTP/1.1', 'closed 1 lost', 'CONNECTION_LOST 1'],
  },
  {
    name: 'a response to nothing: a time-out',
    steps: [read(get('/a')), written(ok() + status(408)), read(get('/c')), written(ok())],
    expected: pair(0, 'GET /a'),
  },
  ...[
    ...[
      'hello\r\n\r\n',
      '\0\0\0\x01\r\n\r\n',
      'GET /\r\n\r\n',
      'GET / HTTP/2.0\r\n\r\n',
      'GET / HTTP/1.2\r\n\r\n',
    ],
    ...[' GET / HTTP/1.1\r\n\r\n', 'GET / http/1.1\r\n\r\n', '*1\r\n$4\r\nPING\r\n'],
    ...['G\xc3T / HTTP/1.1\r\n\r\n', '\r\rGET / HTTP/1.1\r\n\r\n', '{"a":1}\n\n', 'EHLO a.example\r\n'],
  ].map(
    (bytes): Case => ({
      name: `garbage ${JSON.stringify(bytes)}`,
      steps: [read(bytes), written(status(400)), read(get('/')), written(ok())],
      expected: [],
    }),
  ),
  ...['GET  HTTP/1.1\r\n\r\n', 'GET / HTTP/1.1\r\n folded\r\n\r\n', 'GET / HTTP/1.1\r\nA : b\r\n\r\n'].map(
    (bytes): Case => ({
      name: `garbage that only user space sees: ${JSON.stringify(bytes)}`,
      steps: [read(bytes), written(status(400))],
      expected: ['> 0 malformed', '< 0 400'],
    }),
  ),
  {
    name: 'garbage behind a request',
    steps: [read(get('/a')), written(ok()), read('garbage\r\n\r\n'), written(status(400)), read(get('/b'))],
    expected: pair(0, 'GET /a'),
  },
  {
    name: 'HTTP/2 with prior knowledge',
    steps: [read('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), written('\0\0\0\x04\0\0\0\0\0'), read(get('/'))],
    expected: ['HTTP2 1'],
  },
  {
    name: 'TLS',
    steps: [read('\x16\x03\x01\x02\0\x01\0\x01'), written('\x16\x03\x03'), read(`\x17\x03\x03${get('/')}`)],
    expected: [],
  },
  {
    name: 'a client: it writes first',
    steps: [written(get('/')), read(ok()), written(get('/b')), read(ok(get('/c')))],
    expected: [],
    onlyWhole: 'a request in bytes is known for one by its first four',
  },
  {
    name: 'a client met in the middle: a response is read first',
    steps: [read(ok()), written(get('/b')), read(get('/not'))],
    expected: [],
    onlyWhole: 'a response in bytes is taken for the start of a request, and then for none',
  },
];

function commands(steps: readonly Step[]): string[] {
  return [TARGET, ...steps.map(([direction, text]) => (direction === '>' ? recv(text) : send(text)))];
}

for (const { name, steps, expected } of CASES)
  test(name, () => assert.deepEqual(summary(replayOne(commands(steps))), expected));

/** The step at `index` cut at the given places. */
function cut(steps: readonly Step[], index: number, ...places: number[]): Step[] {
  const [direction, text] = steps[index] ?? read('');
  const ends = [...places, text.length];
  const parts = ends.map((end, i): Step => [direction, text.slice(ends[i - 1] ?? 0, end)]);
  return [...steps.slice(0, index), ...parts.filter(([, part]) => part !== ''), ...steps.slice(index + 1)];
}

/** Every way to cut one step in two, and in three with a first cut at every `stride`-th place. */
function* allCuts(steps: readonly Step[], stride: number): Generator<Step[]> {
  for (const [index, [, text]] of steps.entries()) {
    for (let first = 1; first < text.length; first++) {
      yield cut(steps, index, first);
      if (first % stride === 0)
        for (let second = first + 1; second < text.length; second++) yield cut(steps, index, first, second);
    }
  }
}

test('cut anywhere in two or three pieces, the same is reported', () => {
  for (const { name, steps, expected, onlyWhole } of CASES) {
    if (onlyWhole) continue;
    const cuts = [...allCuts(steps, 5)];
    for (const [i, result] of replay(cuts.map(commands)).entries())
      assert.deepEqual(summary(result), expected, `${name}: ${JSON.stringify(cuts[i])}`);
  }
});

test('a byte at a time, the same is reported', () => {
  const cases = CASES.filter(({ onlyWhole }) => !onlyWhole);
  const single = cases.map(({ steps }) =>
    steps.flatMap(([direction, text]) => Array.from(text, (byte): Step => [direction, byte])),
  );
  for (const [i, result] of replay(single.map(commands)).entries())
    assert.deepEqual(summary(result), cases[i]?.expected, cases[i]?.name);
});

test('cut into iovecs, the same is reported', () => {
  const shapes = [
    'vector:1',
    'vector:1,2,3,4,5',
    'vector:0,7,0,0,30',
    'message:2,2,2,2',
    'message:1000',
    'message:0,9',
  ];
  for (const { name, steps, expected, onlyWhole } of CASES) {
    if (onlyWhole) continue;
    const cases = shapes.map((call) => [
      TARGET,
      ...steps.map(([direction, text]) => (direction === '>' ? recv : send)(text, { call })),
    ]);
    for (const [i, result] of replay(cases).entries())
      assert.deepEqual(summary(result), expected, `${name}: ${shapes[i]}`);
  }
});
