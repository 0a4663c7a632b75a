import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseElf } from '../elf/elf.ts';
import { bytesSource } from '../elf/source.ts';
import { openDwarf } from './dwarf.ts';
import { fixture } from './fixtures.testing.ts';
import { PartFinder } from './parts.ts';
import { pathOf } from './type-names.ts';
import { findTypes } from './types.ts';

const noPause = async (): Promise<void> => {};

/** Offset and size of what the path leads to; a type or path that isn't there has none. */
async function partOf(file: string, name: string, ...path: readonly string[]) {
  const dwarf = openDwarf(parseElf(bytesSource(fixture(file)), file));
  assert.ok(dwarf);
  const found = (await findTypes(dwarf, [name, 'no::such::Type'], noPause)).get(name);
  if (!found) return undefined;
  const part = await new PartFinder(dwarf, noPause).follow(found, path);
  return part && [part.offset, part.type.size];
}

const WITH_TYPES = ['rust-dwarf4', 'rust-dwarf5', 'rust-lto', 'rust-zlib', 'rust-split.debug'] as const;

// Where rustc 1.95 puts the members of fixtures/dwarf/src/shapes.rs: see llvm-dwarfdump of these files.
for (const file of WITH_TYPES) {
  test(`members of types in ${file}`, async () => {
    assert.deepEqual(await partOf(file, 'shapes::Pair<u64>'), [0, 32]);
    assert.deepEqual(await partOf(file, 'shapes::Pair<u64>', 'second'), [16, 8]);
    assert.deepEqual(await partOf(file, 'shapes::Pair<u64>', 'first'), [24, 1]);
    assert.deepEqual(await partOf(file, 'shapes::Pair<u32>', 'first'), [20, 1]);
    assert.deepEqual(await partOf(file, 'shapes::Pair<u32>', 'inner', 'flag'), [8, 1]);
    assert.deepEqual(await partOf(file, 'shapes::Pair<u32>', '?other', 'inner'), [0, 16]);
    assert.equal(await partOf(file, 'shapes::Pair<u32>', 'other', 'inner'), undefined);
    assert.equal(await partOf(file, 'Pair<u32>'), undefined, 'a name without its module');
    assert.equal(await partOf(file, 'shapes::Pair<u16>'), undefined);
  });

  test(`a type somewhere inside another, the tag and the fields of an enum in ${file}`, async () => {
    assert.deepEqual(await partOf(file, 'shapes::Pair<u64>', '~shapes::Inner', 'count'), [0, 8]);
    assert.deepEqual(await partOf(file, 'shapes::Choice', '#'), [0, 4]);
    assert.deepEqual(await partOf(file, 'shapes::Choice', 'Pair', '@0'), [4, 4]);
    assert.deepEqual(await partOf(file, 'shapes::Choice', 'Number', '@0'), [8, 8]);
    assert.equal(await partOf(file, 'shapes::Choice', '~shapes::Inner'), undefined);
  });
}

test('C: anonymous structs have no name to be found by, but are followed', async () => {
  for (const file of ['gcc-dwarf4', 'gcc-dwarf5', 'gcc-dwarf64', 'clang-dwarf5'] as const)
    assert.deepEqual(await partOf(file, 'point', 'at', 'y'), [16, 8], file);
});

test('a file with functions only has no types', async () => {
  assert.equal(await partOf('rust-lines', 'shapes::Inner'), undefined);
});

test('paths of names end where arguments begin', () => {
  assert.deepEqual(pathOf('a::b::C<d::E, (f::G, h)>'), ['a', 'b', 'C<d::E, (f::G, h)>']);
  assert.deepEqual(pathOf('(a::B, c::D)'), ['(a::B, c::D)']);
  assert.deepEqual(pathOf('u8'), ['u8']);
});
