import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { probe, structure } from './client-memory.ts';
import { type Commands, memory, recv, replayOne, send, targetCommand, wholeHeads } from './driver.ts';
import { summary } from './summary.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const CLIENT_HELLO = '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03';
const TASKS = FLAG.TASK_SLOT | FLAG.TASK_TAG;
const LIBRARY = targetCommand(FLAG.LIBRARY | FLAG.LIBRARY_PLAINTEXT | TASKS);
const BOTH = targetCommand(FLAG.LIBRARY | FLAG.SOCKET | TASKS);
/** hyper 1: req_method 0x28; head 0x10, req_method 0x18 of Encode; status 0x68; BytesMut 0 and 8. */
const LAYOUT = 'layout 0 40 16 24 104 0 8 0 0 0 0 0 0 0 0';
const KEY = 140_000_000_000_000;
const OTHER = KEY + 0x1000;

const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex') || '-';
const parse = (text: string, key = KEY) => `parse 0 ${key} ${hex(text)}`;
const encode = (status: number, key = KEY) => `encode 0 ${key} ${status}`;
const thread = (tid: number, task: number) => `thread 1 ${tid} ${task}`;

const run = (target: string, ...commands: Commands) => replayOne([target, LAYOUT, thread(1, 7), ...commands]);

test('parse and encode of a connection are its requests and responses', () => {
  const result = run(LIBRARY, parse(GET), encode(200), parse('POST /b HTTP/1.0\r\n\r\nbody'), encode(503));
  assert.deepEqual(summary(result), ['> 0 GET / HTTP/1.1', '< 0 200', '> 1 POST /b HTTP/1.0', '< 1 503']);
  const [first] = result.records;
  assert(first?.kind === 'request');
  assert.equal(first.event.source, 'library');
  assert.equal(first.event.head, GET);
});

test('connections at once, told apart by their key', () => {
  const result = run(LIBRARY, parse(GET), parse(GET, OTHER), encode(201, OTHER), encode(202));
  assert.deepEqual(summary(result), ['> 0 GET / HTTP/1.1', '#2 > 0 GET / HTTP/1.1', '#2 < 0 201', '< 0 202']);
});

test('a parser inside another function: its context in r8, or its buffer so far behind the key; an encoder', () => {
  const [buffer, context, bytes] = [0x5a00_0000_0000n, 0x5a00_0000_1000n, 0x5a00_0000_2000n];
  const pointers = structure(0x40, [[0x28, BigInt(KEY)]]);
  const head = structure(0x20, [...[[0, bytes] as const, [8, GET.length] as const]]);
  const held = [memory(context, pointers), memory(bytes, Buffer.from(GET, 'latin1')), memory(buffer, head)];
  const handedOn = `${probe('hyper_server_parse', { rsi: buffer, register: 6 | (8 << 4) })} r8=${context}`;
  assert.deepEqual(summary(run(LIBRARY, ...held, handedOn, encode(200))), ['> 0 GET / HTTP/1.1', '< 0 200']);
  const inside = memory(BigInt(KEY) + 0x90n, head);
  const parsed = probe('hyper_server_parse_at', { rsi: BigInt(KEY) + 0x90n, register: 6, offset: 0x90 });
  const seen = summary(run(LIBRARY, ...held, inside, parsed, encode(200)));
  assert.deepEqual(seen, ['> 0 GET / HTTP/1.1', '< 0 200']);
  const answer = Buffer.alloc(0x80);
  answer.writeUInt16LE(503, 104);
  const written = [
    memory(context, answer),
    probe('hyper_server_write_head', { rdi: BigInt(KEY), rsi: context }),
  ];
  const both = summary(run(LIBRARY, ...held, inside, parsed, ...written));
  assert.deepEqual(both, ['> 0 GET / HTTP/1.1', '< 0 503']);
});

test('a head that grows from call to call, by any steps', () => {
  for (const size of [1, 3, 40, 5000]) {
    const head = `GET /x HTTP/1.1\r\nA: ${'a'.repeat(size === 1 ? 30 : 7000)}\r\n\r\n`;
    const calls = Array.from({ length: Math.floor((head.length - 1) / size) }, (_, i) =>
      parse(head.slice(0, (i + 1) * size)),
    );
    const result = run(LIBRARY, 'set host_clock 5000000', ...calls.slice(0, 60), parse(head), encode(200));
    assert.deepEqual(summary(result), ['> 0 GET /x HTTP/1.1', '< 0 200']);
    const [[event, text] = assert.fail()] = [...wholeHeads(result.records)];
    assert.equal(text, head);
    assert(event.startNs <= 5_002_000, 'the first call starts the request');
  }
});

test('garbage, empty buffers and unreadable memory make no request', () => {
  const result = run(
    LIBRARY,
    parse(''),
    parse('garbage\r\n\r\n'),
    parse('PRI * HTTP/2.0\r\n\r\n'),
    encode(400),
  );
  assert.deepEqual(summary(result), []);
});

test('under TLS the socket below gives addresses, and its end is the end', () => {
  const address = 'address 1 2 7f000001 8443 0a000009 50001';
  const result = run(BOTH, address, recv(CLIENT_HELLO), parse(GET), encode(200), parse(GET), 'state 1 4');
  assert.deepEqual(summary(result), [
    ...['#2 > 0 GET / HTTP/1.1', '#2 < 0 200', '#2 > 1 GET / HTTP/1.1', 'closed 0'],
  ]);
  const [first] = result.records;
  assert(first?.kind === 'request');
  assert.deepEqual(
    [first.event.tls, first.event.peerAddress, first.event.peerPort],
    [true, '10.0.0.9', 50_001],
  );
  assert.equal(first.event.socket, 1);
});

test('plaintext that the socket tier reports is reported once', () => {
  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
  const exchange = [recv(GET), parse(GET), encode(200), send(OK)];
  assert.deepEqual(summary(run(BOTH, ...exchange, ...exchange)), [
    ...['> 0 GET / HTTP/1.1', '< 0 200', '> 1 GET / HTTP/1.1', '< 1 200'],
  ]);
});

test('the socket of a task that goes on in another thread, with a request that came with the handshake', () => {
  const elsewhere = thread(2, 7);
  const result = run(
    BOTH,
    recv(CLIENT_HELLO),
    recv('\x17\x03\x03\0\x20'),
    elsewhere,
    parse(GET),
    'state 1 7',
  );
  assert.deepEqual(summary(result), ['#2 > 0 GET / HTTP/1.1', 'closed 0']);
  const [first] = result.records;
  assert(first?.kind === 'request');
  assert.deepEqual([first.event.socket, first.event.peerPort, first.event.tls], [1, 40_001, true]);
});

test('… which was reset before the request was read', () => {
  const result = run(BOTH, recv(CLIENT_HELLO), 'state 1 7', thread(2, 7), parse(GET));
  assert.deepEqual(summary(result), ['#2 > 0 GET / HTTP/1.1', 'closed 1']);
});

test('… is not that of a second connection of the task', () => {
  const result = run(BOTH, recv(CLIENT_HELLO), parse(GET), thread(2, 7), parse(GET, OTHER), 'state 1 7');
  assert.deepEqual(summary(result), ['#2 > 0 GET / HTTP/1.1', '#3 > 0 GET / HTTP/1.1', 'closed 0']);
  const [, second] = result.records;
  assert(second?.kind === 'request');
  assert.deepEqual([second.event.socket, second.event.tls], [0, false]);
});

const PROXY_LINE = 'PROXY TCP4 10.0.0.9 10.0.0.1 50001 443\r\n';
const PROXY_BLOCK = '\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x09\x0a\0\0\x01\xc3\x51\x01\xbb';

test('behind a load balancer that puts the PROXY protocol before TLS', () => {
  const SERVER_HELLO = send('\x16\x03\x03\0\x7a\x02');
  const FINISHED = recv('\x14\x03\x03\0\x01\x01');
  for (const header of [PROXY_LINE, PROXY_BLOCK])
    for (const hello of [
      [recv(header), recv(CLIENT_HELLO), SERVER_HELLO],
      [recv(`${header}${CLIENT_HELLO}`), SERVER_HELLO, FINISHED],
      [recv(header.slice(0, 5)), recv(header.slice(5)), recv(CLIENT_HELLO), SERVER_HELLO],
    ]) {
      for (const target of [BOTH, LIBRARY]) {
        const [request] = run(target, ...hello, parse(GET)).records;
        assert(request?.kind === 'request');
        assert.deepEqual([request.event.socket, request.event.tls], [1, true]);
      }
      const watched = targetCommand(
        FLAG.SOCKET | FLAG.WATCH_TLS | FLAG.CLIENT_SOCKET | FLAG.WATCH_CLIENT_TLS,
      );
      assert.deepEqual(summary(run(watched, ...hello)), ['needed-server']);
    }
});

test('… and before plaintext', () => {
  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
  for (const header of [PROXY_LINE, PROXY_BLOCK]) {
    const result = run(BOTH, recv(header), recv(GET), parse(GET), encode(200), send(OK));
    assert.deepEqual(summary(result), ['> 0 GET / HTTP/1.1', '< 0 200']);
    const post = 'POST /x HTTP/1.1\r\nContent-Length: 30\r\n\r\n';
    const evil = 'GET /evil HTTP/1.1\r\nHost: x\r\n\r\n';
    const together = [recv(`${header}${post}`), recv(evil), send(OK)];
    const sockets = targetCommand(FLAG.SOCKET | TASKS);
    assert.deepEqual(summary(run(sockets, ...together)), [], 'what came with the header is not known');
  }
});

test("a client's TLS behind a greeting is no server's", () => {
  const watched = targetCommand(FLAG.SOCKET | FLAG.WATCH_TLS | FLAG.CLIENT_SOCKET | FLAG.WATCH_CLIENT_TLS);
  const session = [recv('220 mail\r\n'), send('STARTTLS\r\n'), recv('220 go\r\n'), send(CLIENT_HELLO)];
  assert.deepEqual(summary(run(watched, ...session, recv('\x16\x03\x03\0\x7a\x02'))), []);
});

test('a socket that was not known at the first request is at a later one, when the process has accepted it', () => {
  const first = [thread(1, 8), recv(CLIENT_HELLO), thread(1, 7), parse(GET), encode(200)];
  const result = run(BOTH, ...first, recv(CLIENT_HELLO, { socket: 2 }), thread(2, 7), parse(GET));
  const [one, , two] = result.records;
  assert(one?.kind === 'request' && two?.kind === 'request');
  // 2 is the connection above
  assert.deepEqual([one.event.socket, two.event.socket, two.event.tls], [0, 3, true]);
});

test("… and not a connection of the task's own client, nor one that is older than the agent", () => {
  const SERVER_HELLO = '\x16\x03\x03\0\x7a\x02';
  for (const read of [
    [send(CLIENT_HELLO, { socket: 2 }), recv(SERVER_HELLO, { socket: 2 })],
    [recv('\x17\x03\x03\0\x20', { socket: 2 })],
  ]) {
    const result = run(BOTH, parse(GET), encode(200), ...read, parse(GET));
    const [, , two] = result.records;
    assert(two?.kind === 'request');
    assert.deepEqual([two.event.socket, two.event.tls], [0, false]);
  }
});

test("with a request that came with the handshake: not the socket that the task's client has read meanwhile", () => {
  const client = [send(CLIENT_HELLO, { socket: 2 }), recv('\x16\x03\x03\0\x7a\x02', { socket: 2 })];
  const result = run(BOTH, recv(CLIENT_HELLO), ...client, parse(GET), 'state 2 7', encode(200));
  assert.deepEqual(summary(result), ['#3 > 0 GET / HTTP/1.1', '#3 < 0 200']);
  const [first] = result.records;
  assert(first?.kind === 'request');
  assert.deepEqual([first.event.socket, first.event.tls], [1, true]);
});

test('… nor one that has had a parser and is closed', () => {
  const ended = [recv(CLIENT_HELLO), parse(GET), encode(200), 'state 1 7'];
  const result = run(BOTH, ...ended, parse(GET, OTHER), encode(200, OTHER));
  assert.deepEqual(summary(result), [
    ...['#2 > 0 GET / HTTP/1.1', '#2 < 0 200', 'closed 0', '#3 > 0 GET / HTTP/1.1', '#3 < 0 200'],
  ]);
  const second = result.records[3];
  assert(second?.kind === 'request');
  assert.deepEqual([second.event.socket, second.event.tls], [0, false]);
});

test('a connection that was reset with its second request unread: the socket is still its own', () => {
  const used = [recv(CLIENT_HELLO), parse(GET), encode(200), 'state 1 7'];
  const result = run(BOTH, ...used, recv('\x17\x03\x03\0\x20'), parse(GET));
  assert.deepEqual(summary(result).slice(2), ['closed 0', '#3 > 0 GET / HTTP/1.1', 'closed 1']);
  const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
  const plain = run(BOTH, recv(GET), parse(GET), encode(200), send(OK), 'state 1 7', recv(GET), parse(GET));
  const requests = plain.records.filter(({ kind }) => kind === 'request');
  assert.equal(requests.length, 2, 'by the socket alone');
});

test('a server that answers the first hello that is seen: a client older than the agent', () => {
  const result = run(BOTH, parse(GET), encode(200), recv('\x16\x03\x03\0\x7a\x02\0\0'), parse(GET));
  const [, , second] = result.records;
  assert(second?.kind === 'request');
  assert.deepEqual([second.event.socket, second.event.tls], [0, false]);
});

test("another task's socket is not taken for the connection's", () => {
  const result = run(BOTH, recv(CLIENT_HELLO), thread(1, 8), parse(GET), encode(200));
  const [first] = result.records;
  assert(first?.kind === 'request');
  assert.deepEqual([first.event.socket, first.event.peerAddress, first.event.tls], [0, undefined, false]);
});

test('a key whose task is another is another connection', () => {
  const result = run(LIBRARY, parse(GET), encode(200), thread(2, 9), parse(GET), encode(204));
  assert.deepEqual(summary(result), ['> 0 GET / HTTP/1.1', '< 0 200', '#2 > 0 GET / HTTP/1.1', '#2 < 0 204']);
});

test('a request that was never answered is given up at the next', () => {
  assert.deepEqual(summary(run(LIBRARY, parse(GET), parse(GET), encode(200))), [
    ...['> 0 GET / HTTP/1.1', 'closed 1 lost', '> 1 GET / HTTP/1.1', '< 1 200'],
  ]);
});

test('without the library tier its probes say nothing', () => {
  assert.deepEqual(summary(run(targetCommand(FLAG.SOCKET), parse(GET), encode(200))), []);
});
