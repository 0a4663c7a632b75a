import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatV6 } from './address.ts';
import { createDecoder, type EventHandlers, type RequestEvent } from './events.ts';
import {
  eventCall as C,
  CALL_PATH,
  eventCallEnd as E,
  EVENT_FLAG,
  EVENT_KIND,
  EVENT_SOURCE,
  eventHeader as H,
  eventRequest as Q,
  eventClientResponse as R,
  eventResponse as S,
} from './layout.ts';

const HANDLERS: readonly (keyof EventHandlers)[] = [
  'request',
  'piece',
  'headDropped',
  'response',
  'closed',
  'exec',
  'exit',
  'panic',
  'needed',
  'call',
  'clientRequest',
  'clientResponse',
  'clientClosed',
  'callEnd',
  'stream',
  'unknown',
];

type Call = readonly [name: string, ...values: unknown[]];

function decode(record: Buffer, before = 0): Call {
  const calls: Call[] = [];
  const handlers = Object.fromEntries(
    HANDLERS.map((name) => [name, (...values: unknown[]) => void calls.push([name, ...values])]),
  );
  const bytes = Buffer.concat([Buffer.alloc(before, 0xee), record]);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  createDecoder(handlers as unknown as EventHandlers)(view, bytes, before, record.length);
  const [call] = calls;
  assert(call && calls.length === 1);
  return call;
}

function record(kind: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt16LE(kind, H.kind);
  bytes.writeBigUInt64LE(3_000_000_000n, H.timeNs);
  bytes.writeBigUInt64LE(2n ** 40n, H.connection);
  bytes.writeBigUInt64LE(77n, H.task);
  bytes.writeUInt32LE(11, H.tgid);
  bytes.writeUInt32LE(12, H.tid);
  bytes.writeUInt32LE(13, H.sequence);
  return bytes;
}

const HEADER = { timeNs: 3e9, connection: 2 ** 40, task: 77, pid: 11, tid: 12, sequence: 13 };

function request(kind: number, head: string): Buffer {
  const bytes = record(kind, Q.size + head.length);
  bytes.writeUInt16LE(EVENT_FLAG.HAS_PARENT | EVENT_FLAG.TLS, H.flags);
  bytes.writeBigUInt64LE(5n, Q.startNs);
  bytes.writeBigUInt64LE(6n, Q.socket);
  bytes.write('0102030405060708090a0b0c0d0e0fff', Q.traceId, 'hex');
  bytes.write('1112131415161718', Q.spanId, 'hex');
  bytes.write('2122232425262728', Q.parentId, 'hex');
  bytes.write('0a000009', Q.peerAddress, 'hex');
  bytes.writeUInt16LE(2, Q.family);
  bytes.writeUInt16LE(5000, Q.peerPort);
  bytes.writeUInt8(3, Q.traceFlags);
  bytes.writeUInt8(EVENT_SOURCE.LIBRARY, Q.source);
  bytes.writeUInt32LE(99, Q.headSize);
  bytes.writeUInt16LE(head.length, Q.dataSize);
  bytes.writeUInt16LE(4, Q.dataOverlap);
  bytes.write(head, Q.size, 'latin1');
  return bytes;
}

test('a request, wherever it lies', () => {
  for (const before of [0, 8, 4096]) {
    assert.deepEqual(decode(request(EVENT_KIND.REQUEST, 'GET \xff'), before), [
      'request',
      {
        ...HEADER,
        startNs: 5,
        socket: 6,
        source: 'library',
        tls: true,
        resend: false,
        ownContext: false,
        traceId0: 0x01020304,
        traceId1: 0x05060708,
        traceId2: 0x090a0b0c,
        traceId3: 0x0d0e0fff,
        spanId0: 0x11121314,
        spanId1: 0x15161718,
        parentId0: 0x21222324,
        parentId1: 0x25262728,
        hasParent: true,
        traceFlags: 3,
        peerAddress: '10.0.0.9',
        peerPort: 5000,
        headSize: 99,
        head: 'GET \xff',
        overlap: 4,
      },
    ]);
  }
});

test('a piece of a head', () => {
  const piece = { connection: 2 ** 40, head: 'GET', overlap: 4, headSize: 99 };
  assert.deepEqual(decode(request(EVENT_KIND.HEAD_PIECE, 'GET')), ['piece', piece]);
  assert.deepEqual(decode(record(EVENT_KIND.HEAD_DROPPED, H.size)), ['headDropped', 2 ** 40]);
});

function response(kind: number, routes: readonly string[], head = ''): Buffer {
  const text = Buffer.from(routes.join(''));
  const bytes = record(kind, head === '' ? S.routeText + text.length : S.size + head.length);
  bytes.writeUInt16LE(204, S.status);
  bytes.writeUInt16LE(head.length, S.dataSize);
  bytes.writeUInt16LE(routes.length, S.routeCount);
  bytes.writeUInt16LE(text.length, S.routeTextSize);
  for (const [i, route] of routes.entries())
    bytes.writeUInt16LE(Buffer.byteLength(route), S.routeSize + 2 * i);
  text.copy(bytes, S.routeText);
  if (head !== '') bytes.write(head, S.size, 'latin1');
  return bytes;
}

test('a response: with and without routes and head', () => {
  for (const routes of [[], ['/a'], ['/api', '/é/{id}', '/x', '/y']])
    for (const head of ['', 'HTTP/1.1 204 x\r\n\r\n'])
      assert.deepEqual(decode(response(EVENT_KIND.RESPONSE, routes, head), 16), [
        'response',
        { ...HEADER, status: 204, routes, head },
      ]);
});

test('a closed connection', () => {
  const bytes = response(EVENT_KIND.CLOSED, ['/a']);
  assert.deepEqual(decode(bytes), ['closed', { ...HEADER, routes: ['/a'], exiting: false, lost: false }]);
  bytes.writeUInt16LE(EVENT_FLAG.EXITING | EVENT_FLAG.LOST, H.flags);
  assert.deepEqual(decode(bytes), ['closed', { ...HEADER, routes: ['/a'], exiting: true, lost: true }]);
});

test('probes are needed: a client begins TLS, one of its own does, or makes a call, perhaps a blocking one', () => {
  const bytes = record(EVENT_KIND.NEEDED, H.size);
  assert.deepEqual(decode(bytes), ['needed', HEADER, 'server']);
  bytes.writeUInt16LE(EVENT_FLAG.CLIENT, H.flags);
  assert.deepEqual(decode(bytes), ['needed', HEADER, 'client']);
  bytes.writeUInt16LE(EVENT_FLAG.BLOCKING, H.flags);
  assert.deepEqual(decode(bytes), ['needed', HEADER, 'blocking']);
  bytes.writeUInt16LE(EVENT_FLAG.TASKS, H.flags);
  assert.deepEqual(decode(bytes), ['needed', HEADER, 'tasks']);
});

function call(authority: string, path: string): Buffer {
  const bytes = record(EVENT_KIND.CALL, C.size + authority.length + path.length);
  bytes.write('0102030405060708090a0b0c0d0e0fff', C.traceId, 'hex');
  bytes.write('1112131415161718', C.spanId, 'hex');
  bytes.write('2122232425262728', C.parentId, 'hex');
  bytes.writeUInt8(1, C.traceFlags);
  bytes.writeUInt8(2, C.method);
  bytes.writeUInt8(1, C.scheme);
  bytes.writeUInt8(3, C.orphan);
  bytes.writeUInt16LE(authority.length, C.authoritySize);
  bytes.writeUInt16LE(path.length, C.pathSize);
  bytes.writeUInt16LE(authority.length, C.fullAuthoritySize);
  bytes.writeUInt16LE(path.length, C.fullPathSize);
  bytes.write(path + authority, C.size, 'latin1');
  return bytes;
}

test('a call', () => {
  const bytes = call('a.example:80', '/\xe9?q');
  const expected = {
    ...HEADER,
    traceId0: 0x01020304,
    traceId1: 0x05060708,
    traceId2: 0x090a0b0c,
    traceId3: 0x0d0e0fff,
    spanId0: 0x11121314,
    spanId1: 0x15161718,
    parentId0: 0x21222324,
    parentId1: 0x25262728,
    traceFlags: 1,
    method: 2,
    scheme: 1,
    orphan: 3,
    authority: 'a.example:80',
    path: '/\xe9?q',
    cut: false,
    channel: false,
  };
  assert.deepEqual(decode(bytes, 8), ['call', expected]);
  bytes.writeUInt16LE(EVENT_FLAG.CHANNEL, H.flags);
  assert.deepEqual(decode(bytes), ['call', { ...expected, channel: true }]);
  bytes.writeUInt16LE(0, H.flags);
  bytes.writeUInt16LE(CALL_PATH + 1, C.fullPathSize);
  assert.deepEqual(decode(bytes), ['call', { ...expected, cut: true }]);
});

test("a client's request on the wire", () => {
  const bytes = request(EVENT_KIND.CLIENT_REQUEST, 'GET');
  bytes.writeUInt16LE(EVENT_FLAG.RESEND, H.flags);
  const [name, event] = decode(bytes);
  const { resend, socket, head, tls } = event as RequestEvent;
  assert.deepEqual([name, resend, socket, head, tls], ['clientRequest', true, 6, 'GET', false]);
});

test("a client's response, and the end of its connection", () => {
  const head = 'HTTP/1.1 302 x\r\n\r\n';
  const bytes = record(EVENT_KIND.CLIENT_RESPONSE, R.size + head.length);
  bytes.writeBigUInt64LE(9n, R.call);
  bytes.write('0a000009', R.peerAddress, 'hex');
  bytes.writeUInt16LE(2, R.family);
  bytes.writeUInt16LE(5000, R.peerPort);
  bytes.writeUInt16LE(302, R.status);
  bytes.writeUInt16LE(104, R.error);
  bytes.writeUInt16LE(head.length, R.dataSize);
  bytes.write(head, R.size, 'latin1');
  const peer = { peerAddress: '10.0.0.9', peerPort: 5000 };
  const expected = {
    ...HEADER,
    ...peer,
    call: 9,
    status: 302,
    error: 104,
    exiting: false,
    lost: false,
    head,
  };
  assert.deepEqual(decode(bytes, 8), ['clientResponse', expected]);
  bytes.writeUInt16LE(EVENT_KIND.CLIENT_CLOSED, H.kind);
  bytes.writeUInt16LE(EVENT_FLAG.EXITING | EVENT_FLAG.LOST, H.flags);
  assert.deepEqual(decode(bytes), ['clientClosed', { ...expected, exiting: true, lost: true }]);
});

test('the end of a call', () => {
  const bytes = record(EVENT_KIND.CALL_END, E.size);
  for (const field of [E.state, E.written, E.givenUp, E.spawned]) bytes.writeUInt8(1, field);
  bytes.writeUInt16LE(2, E.connects);
  bytes.writeUInt16LE(1, E.established);
  bytes.writeUInt16LE(111, E.connectError);
  bytes.writeUInt16LE(443, E.connectPort);
  const flags = { state: 1, written: true, givenUp: true, spawned: true };
  const connects = { connects: 2, established: 1, connectError: 111, connectPort: 443 };
  assert.deepEqual(decode(bytes), ['callEnd', { ...HEADER, ...flags, ...connects }]);
});

test('processes', () => {
  assert.deepEqual(decode(record(EVENT_KIND.EXEC, H.size)), ['exec', HEADER]);
  assert.deepEqual(decode(record(EVENT_KIND.EXIT, H.size)), ['exit', HEADER]);
  assert.deepEqual(decode(record(EVENT_KIND.PANIC, H.size)), ['panic', HEADER]);
});

test('a record that is too short for its kind, or of no kind, is unknown', () => {
  for (const kind of [0, 99, 65_535]) assert.deepEqual(decode(record(kind, 400)), ['unknown', kind, 400]);
  for (const kind of Object.values(EVENT_KIND))
    for (let size = 0; size < H.size; size++)
      assert.equal(decode(record(kind, 40).subarray(0, size))[0], 'unknown');
  assert.equal(decode(record(EVENT_KIND.REQUEST, Q.size - 1))[0], 'unknown');
  assert.equal(decode(record(EVENT_KIND.RESPONSE, S.routeText - 1))[0], 'unknown');
  assert.equal(decode(record(EVENT_KIND.CALL, C.size - 1))[0], 'unknown');
  assert.equal(decode(record(EVENT_KIND.CLIENT_REQUEST, Q.size - 1))[0], 'unknown');
  assert.equal(decode(record(EVENT_KIND.CLIENT_RESPONSE, R.size - 1))[0], 'unknown');
  assert.equal(decode(record(EVENT_KIND.CLIENT_CLOSED, R.size - 1))[0], 'unknown');
  assert.equal(decode(record(EVENT_KIND.CALL_END, E.size - 1))[0], 'unknown');
});

test('any bytes: one call, no exception', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 20 }),
      fc.uint8Array({ minLength: 40, maxLength: 700 }),
      (kind, bytes) => {
        const any = Buffer.from(bytes);
        any.writeUInt16LE(kind, H.kind);
        assert.equal(decode(any).length >= 2, true);
      },
    ),
  );
});

test('addresses', () => {
  const peer = (family: number, address: string) => {
    const bytes = request(EVENT_KIND.REQUEST, '');
    bytes.writeUInt16LE(family, Q.family);
    bytes.write(address, Q.peerAddress, 'hex');
    return (decode(bytes)[1] as { peerAddress: string | undefined }).peerAddress;
  };
  assert.equal(peer(2, 'ffffffff'), '255.255.255.255');
  assert.equal(peer(10, '00000000000000000000ffff7f000001'), '127.0.0.1');
  assert.equal(peer(10, '20010db8000000000000000000000001'), '2001:db8::1');
  assert.equal(peer(1, '7f000001'), undefined);
  assert.equal(peer(0, '7f000001'), undefined);
});

test('IPv6 as RFC 5952 writes it', () => {
  const table: readonly (readonly [bytes: string, text: string])[] = [
    ['00000000000000000000000000000000', '::'],
    ['00000000000000000000000000000001', '::1'],
    ['20010db8000000000000000000000000', '2001:db8::'],
    ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
    ['20010000000000010000000000000001', '2001:0:0:1::1'],
    ['20010db8000000000001000000000001', '2001:db8::1:0:0:1'],
    ['fe80000000000000abcdef0123456789', 'fe80::abcd:ef01:2345:6789'],
    ['00010002000300040005000600070008', '1:2:3:4:5:6:7:8'],
  ];
  for (const [hex, text] of table) {
    const bytes = Buffer.from(hex, 'hex');
    assert.equal(formatV6(new DataView(bytes.buffer, bytes.byteOffset, 16), 0), text);
  }
});
