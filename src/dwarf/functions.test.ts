import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseElf } from '../elf/elf.ts';
import { fixture as elfFixture } from '../elf/fixtures.testing.ts';
import { bytesSource } from '../elf/source.ts';
import { type Dwarf, openDwarf } from './dwarf.ts';
import { byPlace, expectedCode, FIXTURES, fixture, foundCode } from './fixtures.testing.ts';
import { type FunctionSearch, findFunctions, leadingTexts } from './functions.ts';

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
