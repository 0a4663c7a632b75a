import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SHT_SYMTAB, STT_FUNC } from './constants.ts';
import { readEhFrame } from './eh-frame.ts';
import { findSection, parseElf, sectionBytes } from './elf.ts';
import { fixture } from './fixtures.testing.ts';
import { bytesSource } from './source.ts';
import { findSymbolTable, symbolChunks } from './symbols.ts';

function frames(name: string) {
  const elf = parseElf(bytesSource(fixture(name)), name);
  const section = findSection(elf, '.eh_frame');
  assert.ok(section);
  return { elf, ranges: readEhFrame(sectionBytes(elf, section), section.svma), section };
}

/** Functions whose symbols have a size: Rust's, and the C library's where it is linked in. */
function sizedFunctions(name: string): Map<number, number> {
  const { elf } = frames(name);
  const table = findSymbolTable(elf, SHT_SYMTAB);
  assert.ok(table);
  const found = new Map<number, number>();
  for (const chunk of symbolChunks(elf, table))
    for (let i = 0; i < chunk.count; i++)
      if (chunk.type(i) === STT_FUNC && chunk.isDefined(i) && chunk.size(i) > 0)
        found.set(chunk.value(i), chunk.size(i));
  return found;
}

test('every function that has both has the size its symbol tells', () => {
  for (const name of ['rust-pie-v0', 'rust-no-pie', 'rust-static-musl']) {
    const { ranges } = frames(name);
    const symbols = sizedFunctions(name);
    const both = [...ranges.starts].filter((start) => symbols.has(start));
    assert.ok(both.length > 300, `${name}: ${both.length}`);
    for (const [i, start] of ranges.starts.entries()) {
      const size = symbols.get(start);
      if (size !== undefined)
        assert.equal((ranges.ends[i] ?? 0) - start, size, `${name} 0x${start.toString(16)}`);
    }
  }
});

test('a stripped program has the ranges of its twin', () => {
  const [stripped, twin] = [frames('rust-stripped').ranges, frames('rust-stripped-no-comment').ranges];
  assert.deepEqual(stripped.starts, twin.starts);
  assert.ok(stripped.starts.length > 300);
});

/** A CIE with the augmentation `zR` and one FDE, addresses encoded as told. */
function section(encoding: number, begin: Buffer, size: Buffer): Buffer {
  const cie = Buffer.from([0, 0, 0, 0, 1, 0x7a, 0x52, 0, 1, 0x78, 16, 1, encoding, 0, 0, 0]);
  const fdeSize = 4 + begin.length + size.length + 1;
  const head = Buffer.alloc(4 + cie.length + 8);
  head.writeUInt32LE(cie.length, 0);
  cie.copy(head, 4);
  head.writeUInt32LE(fdeSize, 4 + cie.length);
  head.writeUInt32LE(8 + cie.length, 8 + cie.length);
  return Buffer.concat([head, begin, size, Buffer.from([0]), Buffer.alloc(4)]);
}

const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
};
const i32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};

test('absolute and relative addresses of each width', () => {
  const at = 0x5000;
  const place = at + 28; // of pc_begin
  const range = (encoding: number, begin: Buffer, size: Buffer) => {
    const { starts, ends } = readEhFrame(section(encoding, begin, size), at);
    return [starts[0], ends[0]];
  };
  assert.deepEqual(range(0x00, u64(0x1000n), u64(0x20n)), [0x1000, 0x1020]);
  assert.deepEqual(range(0x03, i32(0x1000), i32(0x20)), [0x1000, 0x1020]);
  assert.deepEqual(range(0x1b, i32(0x1000 - place), i32(0x20)), [0x1000, 0x1020]);
  assert.deepEqual(range(0x1c, u64(BigInt(0x1000 - place)), u64(0x20n)), [0x1000, 0x1020]);
  assert.deepEqual(
    range(0x3b, i32(0x1000), i32(0x20)),
    [undefined, undefined],
    'relative to data: not known',
  );
  assert.deepEqual(range(0xff, i32(0x1000), i32(0x20)), [undefined, undefined], 'left out');
});

test('damaged bytes give ranges or none, sorted, and never an error', () => {
  const { elf, section: where } = frames('rust-small');
  const original = sectionBytes(elf, where);
  const flips = fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { maxLength: 20 });
  fc.assert(
    fc.property(flips, fc.nat(original.length), (changes, length) => {
      const bytes = Buffer.from(original.subarray(0, length));
      for (const [at, value] of changes) if (at < length) bytes[at] = value;
      assertSorted(readEhFrame(bytes, where.svma));
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assertSorted(readEhFrame(bytes, 0x1000));
    }),
    { numRuns: 1000 },
  );
});

function assertSorted({ starts, ends }: ReturnType<typeof readEhFrame>): void {
  for (const [i, start] of starts.entries()) {
    assert.ok((ends[i] ?? 0) > start);
    if (i > 0) assert.ok((starts[i - 1] ?? 0) < start);
  }
}
