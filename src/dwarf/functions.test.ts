import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseElf } from '../elf/elf.ts';
import { fixture as elfFixture } from '../elf/fixtures.testing.ts';
import { bytesSource } from '../elf/source.ts';
import { type Dwarf, openDwarf } from './dwarf.ts';
import {
  byPlace,
  expectedCode,
  FIXTURES,
  fixture,
  foundCode,
  sectionOf,
  withSection,
} from './fixtures.testing.ts';
import { type FunctionSearch, findFunctions } from './functions.ts';
import { leadingTexts } from './name-search.ts';

const noPause = async (): Promise<void> => {};

function dwarfOf(name: string): Dwarf {
  const dwarf = openDwarf(parseElf(bytesSource(fixture(name)), name));
  assert.ok(dwarf);
  return dwarf;
}

const search = (...texts: readonly string[]): FunctionSearch<string> => ({
  groups: [texts],
  accept: (name) => (texts.every((text) => name.includes(text)) ? name : undefined),
});

for (const name of FIXTURES) {
  test(`all functions and inlined copies of ${name}, as llvm-dwarfdump has them`, async () => {
    const found = await findFunctions(dwarfOf(name), search(), noPause);
    assert.deepEqual(found.map(foundCode).sort(byPlace), expectedCode(name));
  });

  test(`a search by name in ${name} finds that name, own and inlined, and no other`, async () => {
    for (const text of ['mixed', 'chosen', 'folded_twice', 'own', 'sum', 'core3num']) {
      const found = await findFunctions(dwarfOf(name), search(text), noPause);
      const expected = expectedCode(name).filter((one) => one.name.includes(text));
      assert.deepEqual(found.map(foundCode).sort(byPlace), expected, text);
    }
  });
}

/** A unit of DWARF 4 whose entries are described by the abbreviations at the start of their section. */
function unit(...entries: readonly (readonly number[])[]): Buffer {
  const bytes = Buffer.from([0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, ...entries.flat()]);
  bytes.writeUInt32LE(bytes.length - 4);
  return bytes;
}

const u32 = (value: number): readonly number[] => [...new Uint8Array(new Uint32Array([value]).buffer)];
const u64 = (value: number): readonly number[] => [...u32(value), ...u32(0)];

test('a copy refers to an instance in a second unit, and that to a declaration in a third', async () => {
  const file = fixture('gcc-dwarf4');
  const abbreviations = [
    [1, 0x11, 1, 0, 0],
    // A declaration with a name, an instance of it, a function, a copy of the instance.
    [2, 0x2e, 0, 0x03, 0x0e, 0, 0],
    [3, 0x2e, 0, 0x47, 0x10, 0, 0],
    [4, 0x2e, 1, 0x03, 0x0e, 0x11, 0x01, 0x12, 0x06, 0, 0],
    [5, 0x1d, 0, 0x31, 0x10, 0x11, 0x01, 0x12, 0x06, 0, 0],
    [0],
  ];
  const text = sectionOf(file, '.text').svma;
  const copyAt = (origin: number): Buffer =>
    unit(
      [1],
      [4, ...u32(7), ...u64(text), ...u32(64)],
      [5, ...u32(origin), ...u64(text + 8), ...u32(16)],
      [0, 0],
    );
  const declaration = unit([1], [2, ...u32(1)], [0]);
  const instanceOffset = copyAt(0).length + 12;
  const instance = unit([1], [3, ...u32(copyAt(0).length + unit([1], [3, ...u32(0)], [0]).length + 12)], [0]);
  const info = Buffer.concat([copyAt(instanceOffset), instance, declaration]);
  const strings = withSection(file, '.debug_str', Buffer.from('\0drawn\0around\0'));
  const made = withSection(strings, '.debug_abbrev', Buffer.from(abbreviations.flat()));
  const dwarf = openDwarf(parseElf(bytesSource(withSection(made, '.debug_info', info)), 'made'));
  assert.ok(dwarf);
  assert.deepEqual((await findFunctions(dwarf, search('drawn'), noPause)).map(foundCode), [
    { name: 'drawn', ranges: [[text + 8, text + 24]], into: 'around', line: 0 },
  ]);
});

test('a file without .debug_info has no DWARF', () => {
  assert.equal(openDwarf(parseElf(bytesSource(elfFixture('rust-small')), 'rust-small')), undefined);
});

test('a section is searched once for texts that many groups share', () => {
  const groups = [['streams', 'recv'], ['streams', 'send'], ['tokio'], [], ['recv_reset', 'streams', 'h2']];
  const leads = leadingTexts(groups);
  assert.deepEqual(
    leads.map(({ text, groups: led }) => [text, led.length]),
    [
      ['streams', 3],
      ['tokio', 1],
      ['', 1],
    ],
  );
  assert.deepEqual(leads[0]?.groups[2], ['recv_reset', 'streams', 'h2']);
});
