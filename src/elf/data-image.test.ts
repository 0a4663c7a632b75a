import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { readDataImage } from './data-image.ts';
import { findSection, parseElf } from './elf.ts';
import { fixture } from './fixtures.testing.ts';
import { bytesSource } from './source.ts';

const imageOf = (name: string) => readDataImage(parseElf(bytesSource(fixture(name)), name));

test('pointers of position-independent programs are where their relocations say', () => {
  for (const name of ['rust-pie-v0', 'rust-static-musl', 'rust-no-pie', 'rust-static']) {
    const image = imageOf(name);
    const [text] = image.find(Buffer.from('library/core/src/'), 1);
    assert.ok(text !== undefined, name);
    const texts = image.find(Buffer.from('/rustc/'), 4096);
    const starts = new Set(texts);
    const pointers = image.ranges.flatMap(({ svma, view }) =>
      Array.from({ length: Math.floor(view.byteLength / 8) }, (_, i) => image.u64(svma + i * 8)),
    );
    const found = pointers.filter((pointer) => pointer !== undefined && starts.has(pointer)).length;
    assert.ok(found > 20, `${name}: ${found}`);
  }
});

test('functions of other objects are known by the slots that hold their addresses', () => {
  const names = new Set(imageOf('rust-pie-v0').imports.values());
  assert.ok(names.has('_Unwind_RaiseException') || names.has('write'), [...names].slice(0, 5).join());
});

test('relocations do not change the file', () => {
  const bytes = fixture('rust-pie-v0');
  const before = Buffer.from(bytes);
  readDataImage(parseElf(bytesSource(bytes), 'program'));
  assert.ok(bytes.equals(before));
});

test('what is outside is undefined', () => {
  const image = imageOf('rust-small');
  const last = image.ranges.at(-1);
  assert.ok(last);
  assert.equal(image.u64(last.svma + last.bytes.length - 7), undefined);
  assert.equal(image.u64(0), undefined);
  assert.equal(image.has(last.svma + last.bytes.length), false);
});

test('damaged relocations are passed over', () => {
  const original = fixture('rust-small');
  const rela = findSection(parseElf(bytesSource(original), 'program'), '.rela.dyn');
  assert.ok(rela);
  const flips = fc.array(fc.tuple(fc.nat(rela.size - 1), fc.nat(255)), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(flips, (changes) => {
      const bytes = Buffer.from(original);
      for (const [at, value] of changes) bytes[rela.offset + at] = value;
      readDataImage(parseElf(bytesSource(bytes), 'program'));
    }),
    { numRuns: 100 },
  );
});
