import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Reader } from './reader.ts';

test('reads little-endian values one after the other', () => {
  const reader = new Reader(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 0xff, 0xff, 0xff, 0xff));
  assert.equal(reader.u8('a'), 1);
  assert.equal(reader.u16('b'), 0x0302);
  assert.equal(reader.u32('c'), 0x07060504);
  assert.equal(reader.i32('d'), -1);
});

test('a value that does not fit names what was read, where, and what was left', () => {
  const reader = new Reader(Uint8Array.of(1, 2, 3), 0x40);
  reader.skip(1, 'magic');
  assert.throws(() => reader.u32('e_entry'), {
    message: 'Cannot read e_entry at 0x41: 4 bytes wanted, 2 left',
  });
  assert.equal(reader.position, 1);
});

test('64-bit values are exact up to 2^53 and an error above', () => {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(BigInt(Number.MAX_SAFE_INTEGER), 0);
  bytes.writeBigUInt64LE(BigInt(Number.MAX_SAFE_INTEGER) + 1n, 8);
  const reader = new Reader(bytes);
  assert.equal(reader.u64('offset'), Number.MAX_SAFE_INTEGER);
  assert.throws(() => reader.u64('offset'), {
    message: 'Cannot read offset at 0x8: value 0x20000000000000 exceeds 2^53',
  });
});

test('strings end at NUL; one that does not end is an error', () => {
  const reader = new Reader(Buffer.from('ab\0\0cd'));
  assert.equal(reader.cstring('name'), 'ab');
  assert.equal(reader.cstring('name'), '');
  assert.throws(() => reader.cstring('name'), {
    message: 'Cannot read name at 0x4: no terminating NUL in 2 bytes',
  });
});

test('works on a view that begins inside its buffer', () => {
  const reader = new Reader(Buffer.from('xxab\0').subarray(2));
  assert.equal(reader.cstring('name'), 'ab');
  assert.equal(reader.remaining, 0);
});

test('no sequence of reads leaves the bytes', () => {
  const operation = fc.oneof(
    fc
      .constantFrom('u8', 'u16', 'u32', 'i32', 'u64', 'u64Big', 'i64Big', 'cstring')
      .map((name) => [name, 0] as const),
    fc.tuple(fc.constantFrom('take', 'skip', 'seek'), fc.oneof(fc.integer(), fc.double())),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.array(operation), (bytes, operations) => {
      const reader = new Reader(bytes);
      for (const [name, argument] of operations) {
        try {
          run(reader, name, argument);
        } catch (error) {
          assert.match((error as Error).message, /^Cannot read x at /);
        }
        assert.ok(reader.position >= 0 && reader.position <= bytes.length);
      }
    }),
  );
});

function run(reader: Reader, name: string, argument: number): unknown {
  if (name === 'take') return reader.take(argument, 'x');
  if (name === 'skip') return reader.skip(argument, 'x');
  if (name === 'seek') return reader.seek(argument, 'x');
  return reader[name as 'u8' | 'u16' | 'u32' | 'i32' | 'u64' | 'u64Big' | 'i64Big' | 'cstring']('x');
}
