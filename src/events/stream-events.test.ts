import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { standardHeaderNumber } from '../base/standard-headers.ts';
import { AddressTexts } from './address.ts';
import { EVENT_FLAG, EVENT_KIND, FIELD_KIND, eventHeader as H, PSEUDO, eventStream as S } from './layout.ts';
import { readStream } from './stream-events.ts';

function field(kind: number, name: number | string, value: string): Buffer {
  const custom = typeof name === 'string' ? Buffer.from(name) : Buffer.alloc(0);
  const head = Buffer.from([kind, typeof name === 'string' ? custom.length : name, 0, 0]);
  const bytes = Buffer.from(value, 'latin1');
  head.writeUInt16LE(bytes.length, 2);
  return Buffer.concat([head, custom, bytes]);
}

function record(kind: number, fields: readonly Buffer[] = []): Buffer {
  const data = Buffer.concat(fields);
  const bytes = Buffer.concat([Buffer.alloc(S.size), data]);
  bytes.writeUInt16LE(kind, H.kind);
  bytes.writeBigUInt64LE(3_000_000_000n, H.timeNs);
  bytes.writeBigUInt64LE(0x7f12_3456_7890n, H.connection);
  bytes.writeBigUInt64LE(77n, H.task);
  bytes.writeUInt32LE(11, H.tgid);
  bytes.writeUInt32LE(12, H.tid);
  bytes.writeUInt32LE(13, H.sequence);
  bytes.writeUInt16LE(data.length, S.dataSize);
  return bytes;
}

function read(bytes: Buffer, before = 0) {
  const all = Buffer.concat([Buffer.alloc(before, 0xee), bytes]);
  const view = new DataView(all.buffer, all.byteOffset, all.length);
  return readStream(view, all, before, bytes.length, new AddressTexts());
}

const contentType = standardHeaderNumber('content-type') ?? -1;

const REQUEST = [
  field(FIELD_KIND.PSEUDO, PSEUDO.METHOD, 'REPORT'),
  field(FIELD_KIND.PSEUDO, PSEUDO.SCHEME, 'https'),
  field(FIELD_KIND.PSEUDO, PSEUDO.AUTHORITY, 'shop.example:8443'),
  field(FIELD_KIND.PSEUDO | FIELD_KIND.CUT, PSEUDO.PATH, '/\xe9?q'),
  field(FIELD_KIND.PSEUDO, PSEUDO.PROTOCOL, 'websocket'),
  field(FIELD_KIND.STANDARD, contentType, 'application/grpc'),
  field(FIELD_KIND.STANDARD, 120, 'of no name'),
  field(FIELD_KIND.CUSTOM, 'X-A', ''),
  field(FIELD_KIND.CUSTOM | FIELD_KIND.CUT, 'x-a', '1'),
  field(FIELD_KIND.ROUTE, 0, Buffer.from('/é').toString('latin1')),
];

test('a record with all kinds of fields, wherever it lies', () => {
  const bytes = record(EVENT_KIND.STREAM_REQUEST, REQUEST);
  bytes.writeUInt16LE(EVENT_FLAG.HAS_PARENT | EVENT_FLAG.CUT | EVENT_FLAG.TLS, H.flags);
  bytes.writeBigUInt64LE(5n, S.socket);
  bytes.writeBigUInt64LE(6n, S.call);
  bytes.write('0102030405060708090a0b0c0d0e0fff', S.traceId, 'hex');
  bytes.write('1112131415161718', S.spanId, 'hex');
  bytes.write('2122232425262728', S.parentId, 'hex');
  bytes.write('0a000009', S.peerAddress, 'hex');
  bytes.writeUInt16LE(2, S.family);
  bytes.writeUInt16LE(5000, S.peerPort);
  bytes.writeUInt16LE(201, S.status);
  bytes.writeUInt32LE(8, S.reason);
  bytes.writeUInt8(1, S.traceFlags);
  bytes.writeUInt8(9, S.method);
  const expected = {
    timeNs: 3e9,
    connection: 0x7f12_3456_7890,
    task: 77,
    pid: 11,
    tid: 12,
    sequence: 13,
    kind: EVENT_KIND.STREAM_REQUEST,
    client: false,
    local: false,
    tls: true,
    exiting: false,
    hasParent: true,
    ownContext: false,
    cut: true,
    socket: 5,
    call: 6,
    traceId0: 0x01020304,
    traceId1: 0x05060708,
    traceId2: 0x090a0b0c,
    traceId3: 0x0d0e0fff,
    spanId0: 0x11121314,
    spanId1: 0x15161718,
    parentId0: 0x21222324,
    parentId1: 0x25262728,
    traceFlags: 1,
    peerAddress: '10.0.0.9',
    peerPort: 5000,
    status: 201,
    reason: 8,
    methodTag: 9,
    method: 'REPORT',
    scheme: 'https',
    authority: 'shop.example:8443',
    path: '/\xe9?q',
    protocol: 'websocket',
    headers: [
      ['content-type', 'application/grpc'],
      ['x-a', ''],
      ['x-a', '1'],
    ],
    routes: ['/é'],
    cutTarget: true,
  };
  assert.deepEqual(read(bytes), expected);
  assert.deepEqual(read(bytes, 4096), expected);
});

test('no fields; flags of a reset', () => {
  const bytes = record(EVENT_KIND.STREAM_RESET);
  bytes.writeUInt16LE(EVENT_FLAG.LOCAL | EVENT_FLAG.CLIENT | EVENT_FLAG.EXITING, H.flags);
  const { local, client, exiting, hasParent, cut, headers, routes, path } = read(bytes) ?? {};
  assert.deepEqual([local, client, exiting, hasParent, cut], [true, true, true, false, false]);
  assert.deepEqual([headers, routes, path], [[], [], undefined]);
});

test('fields that are cut off anywhere, or of no kind, make no event', () => {
  const whole = Buffer.concat(REQUEST);
  const ends = new Set(REQUEST.map((_, i) => Buffer.concat(REQUEST.slice(0, i)).length));
  for (let size = 0; size < whole.length; size++) {
    const event = read(record(EVENT_KIND.STREAM_REQUEST, [whole.subarray(0, size)]));
    assert.equal(event !== undefined, ends.has(size), `${size}`);
  }
  assert.equal(read(record(EVENT_KIND.STREAM_REQUEST, [field(9, 0, '')])), undefined);
  const short = record(EVENT_KIND.STREAM_REQUEST, REQUEST);
  assert.equal(read(short.subarray(0, short.length - 1)), undefined);
});

test('any bytes: no exception, nothing from behind the record', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
      const event = read(record(EVENT_KIND.STREAM_RESPONSE, [Buffer.from(data)]));
      const texts = [...(event?.headers ?? []).flat(), event?.path ?? ''];
      assert(texts.reduce((sum, text) => sum + text.length, 0) <= data.length + 40 * data.length);
    }),
  );
});
