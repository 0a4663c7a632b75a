import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENT_KIND, TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { call, inTask, probe } from './client-memory.ts';
import { memory, recv, replayOne, send, state, targetCommand } from './driver.ts';
import {
  answered,
  CONNECTION_TASK,
  check,
  GET,
  GET_SEEN,
  grpcAnswered,
  RPC,
  RPC_SEEN,
  run,
  STREAMS,
  TASKS,
} from './stream-commands.ts';
import {
  cancel,
  closed,
  closedByLock,
  type FrameOptions,
  goAwayInRegisters,
  type Header,
  recvGoAway,
  recvHeaders,
  recvReset,
  recvTrailers,
  resetInRegisters,
  sendHeaders,
  sendReset,
  sendTrailers,
  streamLayout,
  UNREADABLE,
} from './stream-memory.ts';
import { summary } from './summary.ts';

const GRPC: Header = ['content-type', 'application/grpc'];
const DONE: Header = ['grpc-status', '0'];
const FAILED: readonly Header[] = [
  ['grpc-status', '5'],
  ['grpc-message', 'no%20such'],
];

// ---- a server ----

check(
  'a request and its response',
  [
    ...recvHeaders(1, 1, GET),
    ...sendHeaders(1, 1, { status: 404, headers: [['content-type', 'text/plain']] }),
  ],
  [`1/1 > ${GET_SEEN}`, '1/1 < 404 content-type=text/plain'],
);
check(
  'a gRPC call',
  [
    ...recvHeaders(1, 1, { ...RPC, headers: [GRPC, ['grpc-timeout', '1S']] }),
    ...[...sendHeaders(1, 1, { status: 200, headers: [GRPC] }), ...sendTrailers(1, 1, { headers: [DONE] })],
  ],
  [
    `1/1 > ${RPC_SEEN} content-type=application/grpc grpc-timeout=1S`,
    ...['1/1 < 200 content-type=application/grpc', '1/1 <- grpc-status=0'],
  ],
);
check(
  'a response that is trailers only',
  [...recvHeaders(1, 1, RPC), ...sendHeaders(1, 1, { status: 200, headers: FAILED })],
  [`1/1 > ${RPC_SEEN}`, '1/1 < 200 grpc-status=5 grpc-message=no%20such'],
);
check(
  'interim responses are none',
  [...recvHeaders(1, 1, GET), ...answered(1, 1, 100), ...answered(1, 1, 103), ...answered(1, 1, 204)],
  [`1/1 > ${GET_SEEN}`, '1/1 < 204'],
);
check(
  'streams of several connections, answered in another order',
  [
    ...[...recvHeaders(1, 1, GET), ...recvHeaders(2, 1, RPC), ...recvHeaders(1, 3, RPC)],
    ...[...answered(1, 3, 201), ...answered(2, 1, 202), ...answered(1, 1, 203)],
  ],
  [`1/1 > ${GET_SEEN}`, `2/1 > ${RPC_SEEN}`, `1/3 > ${RPC_SEEN}`, '1/3 < 201', '2/1 < 202', '1/1 < 203'],
);
check(
  'a pseudo header that is not there',
  [
    ...recvHeaders(1, 1, { method: 7, authority: 'h:1' }),
    ...recvHeaders(1, 3, { method: 0, scheme: 'https', path: '*' }),
    ...recvHeaders(1, 5, { ...GET, method: 7, protocol: 'websocket' }),
  ],
  ['1/1 > CONNECT h:1', '1/3 > OPTIONS https *', '1/5 > CONNECT http h /a websocket'],
);
check(
  'request trailers say nothing to a server alone',
  [targetCommand(FLAG.STREAMS), ...recvTrailers(1, 1, { headers: [DONE] })],
  [],
);

// ---- a client ----

check(
  'a call, its stream and response',
  [
    ...call(1, { path: '/a' }),
    inTask(900),
    ...sendHeaders(1, 1, { ...GET, entries: 0x5500_0010_3000n }),
    ...recvHeaders(1, 1, { status: 200, headers: [GRPC] }),
    ...recvTrailers(1, 1, { headers: [DONE] }),
  ],
  [
    ...['call 1 GET http://h/a no_context', `1/1 => call 1 ${GET_SEEN}`],
    ...['1/1 <= 200 content-type=application/grpc', '1/1 <=- grpc-status=0', 'NO_CONTEXT 1'],
  ],
);
check(
  'interim responses to a client',
  [...sendHeaders(1, 1, GET), ...recvHeaders(1, 1, { status: 100 }), ...recvHeaders(1, 1, { status: 200 })],
  [`1/1 => alone ${GET_SEEN}`, '1/1 <= 200', 'CALL_UNLINKED 1'],
);
check(
  'a request whose caller is not known has no parent',
  [...sendHeaders(1, 1, GET), ...recvHeaders(1, 1, { status: 500 })],
  [`1/1 => alone ${GET_SEEN}`, '1/1 <= 500', 'CALL_UNLINKED 1'],
);

// ---- which side is followed ----

const followed = (flags: number, ...commands: readonly string[]) =>
  summary(replayOne([targetCommand(flags | TASKS), streamLayout(), inTask(CONNECTION_TASK), ...commands]));
const BOTH_SIDES = [
  ...[...recvHeaders(1, 1, GET), ...grpcAnswered(1, 1)],
  ...[
    ...sendHeaders(2, 1, RPC),
    ...recvHeaders(2, 1, { status: 200 }),
    ...recvTrailers(2, 1, { headers: [DONE] }),
  ],
];

test('each side has its flag', () => {
  assert.deepEqual(followed(FLAG.STREAMS, ...BOTH_SIDES), [
    ...[`1/1 > ${GET_SEEN}`, '1/1 < 200', '1/1 <- grpc-status=0'],
  ]);
  assert.deepEqual(followed(FLAG.CLIENT_STREAMS, ...BOTH_SIDES), [
    ...[`2/1 => alone ${RPC_SEEN}`, '2/1 <= 200', '2/1 <=- grpc-status=0', 'CALL_UNLINKED 1'],
  ]);
  assert.deepEqual(followed(FLAG.CALLS, ...BOTH_SIDES, ...recvReset(1, 1, 8), ...closed(1)), []);
  assert.deepEqual(summary(replayOne([streamLayout(), ...BOTH_SIDES])), []);
});

test('without a layout nothing is read', () => {
  const other = probe('h2_recv_headers').replace(' 0 ', ' 2000 ');
  assert.deepEqual(
    summary(
      run(
        other,
        ...['h2_take_request', 'h2_closed', 'h2_go_away'].map((name) => {
          return probe(name).replace(' 0 ', ' 2000 ');
        }),
      ),
    ),
    [],
  );
});

// ---- what the library's version decides ----

test('members elsewhere', () => {
  const layout = {
    ...{ streamStore: 8, streamId: 4, frameTextPresent: 16, frameScheme: 0x40, frameAuthority: 0x60 },
    ...{ framePath: 0x88, frameProtocol: 0xb0, frameStatus: 0x13e, frameMethod: 0x13c },
  };
  const frame: FrameOptions = { ...GET, headers: [GRPC], layout };
  const commands = [
    streamLayout(layout),
    ...recvHeaders(1, 5, frame),
    ...sendHeaders(1, 5, { status: 200, layout }),
  ];
  assert.deepEqual(summary(run(...commands)), [
    `1/5 > ${GET_SEEN} content-type=application/grpc`,
    '1/5 < 200',
  ]);
});
test('a member that is not known is not there', () => {
  const result = run(streamLayout({ frameProtocol: 0 }), ...recvHeaders(1, 1, { ...GET, protocol: 'x' }));
  assert.deepEqual(summary(result), [`1/1 > ${GET_SEEN}`]);
});

// ---- headers ----

const asked = (headers: readonly Header[], more: FrameOptions = {}) =>
  recvHeaders(1, 1, { ...GET, headers, ...more });

check(
  'custom headers are all there, standard ones when they are wanted',
  asked([
    ...[['accept', '*/*'] as const, ['content-type', 'a/b'] as const, ['x-custom', ''] as const],
    ...[['date', 'now'] as const, ['te', 'trailers'] as const, ['x-xss-protection', '0'] as const],
  ]),
  [`1/1 > ${GET_SEEN} content-type=a/b x-custom= te=trailers x-xss-protection=0`],
);
test('every standard header by its bit', () => {
  const headers = ['accept', 'referrer-policy', 'refresh', 'range', 'x-frame-options', 'x-xss-protection'];
  const all = headers.map((name): Header => [name, 'v']);
  for (const name of headers) {
    const result = run(streamLayout({}, [name]), ...asked(all));
    assert.deepEqual(summary(result), [`1/1 > ${GET_SEEN} ${name}=v`]);
  }
});
check(
  'names of any length below 128',
  asked([
    ...[['n', '1'] as const, ['n'.repeat(127), '2'] as const],
    ...[['n'.repeat(128), '3'] as const, ['', '4'] as const],
  ]),
  [`1/1 > ${GET_SEEN} n=1 ${'n'.repeat(127)}=2`, 'IMPLAUSIBLE 1'], // an empty one
);

test('values are cut at FIELD_VALUE', () => {
  const value = (size: number) => 'v'.repeat(size);
  const [event] = streams(
    asked([
      ['a', value(1024)],
      ['te', value(1025)],
      ['b', value(70_000)],
    ]),
  );
  assert(event);
  assert.deepEqual(event.headers, [
    ['a', value(1024)],
    ['te', value(1024)],
    ['b', value(1024)],
  ]);
  assert.deepEqual([event.cut, event.cutTarget], [false, false]);
});
test('a path that is cut is told', () => {
  const [event] = streams(asked([DONE], { path: `/${'p'.repeat(2000)}` }));
  assert(event);
  assert.deepEqual([event.path, event.cutTarget, event.cut], [`/${'p'.repeat(1023)}`, true, false]);
  assert.deepEqual(event.headers, [DONE]);
});

const streams = (commands: readonly string[]) =>
  run(...commands).records.map((record) => {
    assert(record.kind === 'stream');
    return record.event;
  });
const many = (count: number, value = 'v') =>
  Array.from({ length: count }, (_, i): Header => [`x-${i}`, value]);

test('64 headers, and those behind them', () => {
  for (const [count, seen, cut] of [
    [63, 63, false],
    [64, 64, false],
    [65, 64, true],
    [500, 64, true],
  ] as const) {
    const [event] = streams(asked(many(count)));
    assert(event);
    assert.deepEqual([event.headers, event.cut], [many(seen), cut], `${count}`);
  }
});
test('where room ends the rest is left out', () => {
  const [event] = streams(asked([...many(5, 'v'.repeat(700)), DONE]));
  assert(event);
  assert.deepEqual([event.headers, event.cut], [many(4, 'v'.repeat(700)), true]);
});
test('any sizes fit the record', () => {
  const path = (size: number) => `/${'p'.repeat(size)}`;
  for (let size = 0; size < 1100; size += 37)
    for (const headers of [
      [],
      many(3, 'v'.repeat(size)),
      [['n'.repeat(127), 'v'.repeat(size)] as const, ...many(70)],
    ]) {
      const [event] = streams(asked(headers, { path: path(size), authority: 'h'.repeat(size) }));
      assert(event);
      assert.equal(event.authority, 'h'.repeat(Math.min(size, 1024)));
      assert.deepEqual(
        event.headers,
        headers.slice(0, event.headers.length).map(([n, v]) => [n, v.slice(0, 1024)]),
      );
      assert.equal(event.cut, event.headers.length < headers.length);
    }
});

// ---- traceparent ----

const PARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331';

test('a parent from the headers', () => {
  const [event] = streams(asked([['te', 'x'], ['traceparent', `${PARENT}-01`], DONE]));
  assert(event);
  assert.deepEqual(
    [event.traceId0, event.traceId1, event.traceId2, event.traceId3].map((word) => (word >>> 0).toString(16)),
    ['af76519', '16cd43dd', '8448eb21', '1c80319c'],
  );
  assert.deepEqual([event.parentId0 >>> 0, event.parentId1], [0xb7ad6b71, 0x69203331]);
  assert.deepEqual([event.hasParent, event.traceFlags, event.headers.length], [true, 1, 3]);
  assert.notEqual(event.spanId0 | event.spanId1, 0);
});
test('B3 from the headers, single and multi', () => {
  const ids = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'] as const;
  const single = [['b3', `${ids.join('-')}-1`]] as const;
  const multi = [
    ['x-b3-traceid', ids[0]],
    ['x-b3-spanid', ids[1]],
    ['x-b3-sampled', '1'],
  ] as const;
  for (const headers of [single, multi]) {
    const [event] = streams(['set extract_b3 3', ...asked([...headers])]);
    assert.deepEqual(
      [event?.hasParent, event?.traceId0, (event?.parentId0 ?? 0) >>> 0],
      [true, 0x0af76519, 0xb7ad6b71],
    );
  }
});

check('a later version may have more', asked([['traceparent', `cc${PARENT.slice(2)}-01-more`]]), [
  `1/1 > traced ${GET_SEEN} traceparent=cc${PARENT.slice(2)}-01-more`,
]);
test('invalid ones are none', () => {
  const values = [
    ...[
      '',
      'x',
      PARENT,
      `${PARENT}-0`,
      `${PARENT}-01-`,
      `ff${PARENT.slice(2)}-01`,
      `${PARENT.toUpperCase()}-01`,
    ],
    ...[
      `00-${'0'.repeat(32)}-b7ad6b7169203331-01`,
      `00-0af7651916cd43dd8448eb211c80319c-${'0'.repeat(16)}-01`,
    ],
    `${PARENT}-0g`,
  ];
  for (const value of values)
    assert.deepEqual(summary(run(...asked([['traceparent', value]]))), [
      `1/1 > ${GET_SEEN} traceparent=${value}`,
    ]);
});
check(
  'other names are not looked into',
  asked([
    ['tracestatex', `${PARENT}-01`],
    ['traceparenu', `${PARENT}-01`],
    ['xtraceparent', `${PARENT}-01`],
  ]),
  [`1/1 > ${GET_SEEN} tracestatex=${PARENT}-01 traceparenu=${PARENT}-01 xtraceparent=${PARENT}-01`],
);
check('a caller that samples nothing', asked([['traceparent', `${PARENT}-00`]]), ['UNSAMPLED 1']);
check(
  'without extraction it is a header like others',
  ['set extract_traceparent 0', ...asked([['traceparent', `${PARENT}-00`]])],
  [`1/1 > ${GET_SEEN} traceparent=${PARENT}-00`],
);
check(
  'a header of the stream before is not taken for this one’s',
  [...asked([['traceparent', `${PARENT}-01`]]), ...recvHeaders(1, 3, GET)],
  [`1/1 > traced ${GET_SEEN} traceparent=${PARENT}-01`, `1/3 > ${GET_SEEN}`],
);
check(
  'the sampler decides on requests of clients, too',
  ['set sampler_root 0', ...sendHeaders(1, 1, GET), ...recvHeaders(1, 3, GET)],
  ['UNSAMPLED 2'],
);

// ---- ends ----

check(
  'resets, by the peer and of its own',
  [...recvReset(1, 5, 8), ...recvReset(1, 7, 0xdead_beef), ...sendReset(1, 9, 11), ...cancel(1, 11)],
  ['1/5 reset 8', '1/7 reset 3735928559', '1/9 own reset 11', '1/11 own reset 8'],
);
check(
  'a reset that was asked for is told with its reason first',
  [...sendReset(1, 3, 2), ...cancel(1, 3)],
  ['1/3 own reset 2', '1/3 own reset 8'],
);
check('the connection ends', [...closed(2), ...closed(1)], ['2 closed', '1 closed']);
check(
  'the peer goes away',
  [...recvGoAway(1, 5), ...recvGoAway(1, 0x7fff_ffff)],
  ['1 client closed above 5', '1 client closed above 2147483647'],
);
check(
  'the same of functions that have stream and connection in registers',
  [
    ...[...resetInRegisters(1, 5, 8), ...resetInRegisters(2, 7, 0xdead_beef)],
    ...[...closedByLock(2), ...goAwayInRegisters(1, 5)],
  ],
  ['1/5 reset 8', '2/7 reset 3735928559', '2 closed', '1 client closed above 5'],
);
test('streams that a server going away has not taken are a client’s', () => {
  assert.deepEqual(followed(FLAG.STREAMS, ...recvGoAway(1, 5)), []);
});
test('a record of an end has neither data nor what was there before', () => {
  const commands = [...asked([['traceparent', `${PARENT}-01`]]), ...cancel(1, 1), ...recvReset(1, 1, 2)];
  for (const event of streams(commands).slice(1)) {
    assert.deepEqual([event.headers, event.path, event.hasParent, event.traceId0], [[], undefined, false, 0]);
    assert.deepEqual([event.status, event.call, event.cut, event.task], [0, 0, false, CONNECTION_TASK]);
  }
});

// ---- sockets ----

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
const SOCKETS = targetCommand(STREAMS | FLAG.SOCKET | FLAG.CLIENT_SOCKET);
const ADDRESS = 'address 1 2 7f000001 50051 0a000009 40009';
const ESTABLISHED_ENDS = state(7);

test('the socket below a server’s connection, and its end', () => {
  const result = run(SOCKETS, ADDRESS, recv(PREFACE), ...recvHeaders(1, 1, GET), ESTABLISHED_ENDS);
  assert.deepEqual(summary(result), [`1/1 > ${GET_SEEN} on 1`, 'socket 1 closed']);
  const [first, last] = result.records;
  assert(first?.kind === 'stream' && last?.kind === 'stream');
  assert.deepEqual([first.event.peerAddress, first.event.peerPort], ['10.0.0.9', 40_009]);
  assert.equal(last.event.kind, EVENT_KIND.STREAMS_CLOSED);
  assert.deepEqual([last.event.pid, last.event.connection], [1, 0]);
});
test('under TLS', () => {
  const result = run(
    SOCKETS,
    recv('\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03'),
    ...recvHeaders(1, 1, GET),
    state(7),
  );
  assert.deepEqual(summary(result), [`1/1 > ${GET_SEEN} tls on 1`, 'socket 1 closed']);
});
test('without the socket tier of HTTP/1 it is the same', () => {
  const target = targetCommand(STREAMS);
  const result = run(target, ADDRESS, recv(PREFACE), ...recvHeaders(1, 1, GET), ESTABLISHED_ENDS);
  assert.deepEqual(summary(result), [`1/1 > ${GET_SEEN} on 1`, 'socket 1 closed']);
});
test('a client’s connection', () => {
  const result = run(
    ...[SOCKETS, ADDRESS, send(PREFACE), ...sendHeaders(1, 1, GET), recv('\0\0\x12\x04\0\0\0\0\0')],
    ...[...recvHeaders(1, 1, { status: 200 }), ESTABLISHED_ENDS],
  );
  assert.deepEqual(summary(result), [
    ...[`1/1 => alone ${GET_SEEN}`, '1/1 <= 200 on 1', 'socket 1 closed', 'CALL_UNLINKED 1'],
  ]);
});
test('connections that are older than the agent', () => {
  const result = run(
    ...[SOCKETS, recv('\0\0\x04\x08\0\0\0\0\0\0\0\0\x01'), ...recvHeaders(1, 31, GET), ESTABLISHED_ENDS],
  );
  assert.deepEqual(summary(result), [`1/31 > ${GET_SEEN} on 1`, 'socket 1 closed']);
});
test('another task’s socket is not taken for this connection’s', () => {
  const result = run(SOCKETS, recv(PREFACE), inTask(8), ...recvHeaders(1, 1, GET));
  assert.deepEqual(summary(result), [`1/1 > ${GET_SEEN}`]);
});
test('a socket of HTTP/1 is not told of', () => {
  const http1 = [recv('GET / HTTP/1.1\r\n\r\n'), send('HTTP/1.1 204 x\r\n\r\n'), ESTABLISHED_ENDS];
  assert.deepEqual(summary(run(SOCKETS, ...http1)), ['> 0 GET / HTTP/1.1', '< 0 204']);
  assert.deepEqual(summary(run(targetCommand(FLAG.SOCKET), recv(PREFACE), ESTABLISHED_ENDS)), ['HTTP2 1']);
});

// ---- memory that can not be read, room that is not there ----

check(
  'a stream or frame that can not be read says nothing',
  [
    ...[...recvHeaders(1, 1, { ...GET, lost: 'stream' }), ...recvHeaders(1, 1, { ...GET, lost: 'frame' })],
    ...[...sendHeaders(1, 1, { status: 200, lost: 'frame' }), ...recvTrailers(1, 1, { lost: 'stream' })],
    ...[...sendTrailers(1, 1, { lost: 'frame' }), memory(0x5900_0004_0000n, new Uint8Array())],
    ...[
      probe('h2_take_request', { rdx: UNREADABLE, register: 2 << 4 }),
      probe('h2_cancel', { rsi: UNREADABLE, register: 6 << 4 }),
    ],
    probe('h2_closed', { rdi: UNREADABLE, register: 7 << 4 }),
    probe('h2_recv_reset', { rsi: UNREADABLE, register: 2 | (6 << 4) }),
  ],
  ['READ_FAILED 9'],
);
check(
  'headers that can not be read are left out',
  [...asked([DONE], { lost: 'entries' })],
  [`1/1 > ${GET_SEEN}`, 'READ_FAILED 1'],
);
test('texts that can not be read are left out', () => {
  const result = run(...asked([DONE, ['te', 'x']], { lost: 'texts' }));
  assert.deepEqual(summary(result).slice(0, 1), ['1/1 > GET']);
  assert.equal(result.counters.READ_FAILED, 1);
});
test('a full ring is counted', () => {
  assert.deepEqual(summary(run('set host_ring_room 0', ...recvHeaders(1, 1, GET))), ['RING_FULL 1']);
});
