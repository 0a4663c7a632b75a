import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter, Chunk, varintSize } from './byte-writer.ts';

/** Length prefix of 2 bytes and `size` bytes of content, in a buffer with `spare` bytes left at the end. */
function writeMessage(size: number, spare: number): { bytes: Buffer; writer: ByteWriter } {
  const writer = new ByteWriter(new Chunk(2 + size + spare));
  writer.begin();
  writer.position += 2;
  writer.buffer.fill(0x55, 2, 2 + size);
  writer.position += size;
  writer.length2(writer.start);
  return { bytes: writer.buffer.subarray(writer.start, writer.position), writer };
}

test('a length of 16 KiB or more moves the message, also at the very end of the buffer', () => {
  for (const spare of [0, 1, 2, 3]) {
    const { bytes } = writeMessage(0x4000, spare);
    assert.equal(bytes.length, 4 + 0x4000);
    assert.deepEqual([...bytes.subarray(0, 4)], [0x80, 0x80, 0x81, 0x00]);
    assert.ok(bytes.subarray(4).every((byte) => byte === 0x55));
  }
});

test('a shorter length stays where it is', () => {
  const { bytes } = writeMessage(0x3fff, 0);
  assert.deepEqual([...bytes.subarray(0, 2)], [0xff, 0x7f]);
  assert.equal(bytes.length, 2 + 0x3fff);
});

test('a message that outgrows its buffer takes its beginning along and leaves finished ones', () => {
  const writer = new ByteWriter(new Chunk(16));
  writer.begin();
  writer.raw(Buffer.from('finished'));
  const { buffer: first, start: firstStart, position: firstEnd } = writer;
  writer.begin();
  writer.raw(Buffer.from('begun '));
  writer.ensure(10);
  writer.raw(Buffer.from('elsewhere'));
  assert.equal(first.toString('utf8', firstStart, firstEnd), 'finished');
  assert.notEqual(writer.buffer, first);
  assert.equal(writer.buffer.toString('utf8', writer.start, writer.position), 'begun elsewhere');
});

test('sizes of varints', () => {
  const edges = [0, 0x7f, 0x80, 0x3fff, 0x4000, 0x1fffff, 0x200000, 0xfffffff, 0x10000000, 0xffffffff];
  for (const value of edges) {
    const writer = new ByteWriter(new Chunk(8));
    writer.varint(value);
    assert.equal(writer.position, varintSize(value), String(value));
  }
});
