import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseElf } from '../elf/elf.ts';
import type { Section } from '../elf/sections.ts';
import { bytesSource } from '../elf/source.ts';
import { openDwarf } from './dwarf.ts';
import { FIXTURES, fixture, sectionOf, withSection } from './fixtures.testing.ts';
import { findFunctions } from './functions.ts';
import { PartFinder } from './parts.ts';
import { findTypes } from './types.ts';

const noPause = async (): Promise<void> => {};

/** What no file of these sizes may take: the time of so many walks over 64 MiB, of which a byte is a nanosecond and less. */
const LIMIT_WALKS = 50;
const QUICK_MS = 500;
const WALKED = new Uint8Array(1 << 26).fill(1);

/** On this machine, at this moment: it may have neighbours. */
function walkMs(): number {
  const start = cpuMs();
  let sum = 0;
  for (let i = 0; i < WALKED.length; i++) sum += WALKED[i] ?? 0;
  assert.equal(sum, WALKED.length);
  return cpuMs() - start;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Reads everything; an error must be one of ours. Returns how many pieces of code were found. */
async function readAll(bytes: Buffer, hint = ''): Promise<number> {
  const start = cpuMs();
  try {
    const elf = parseElf(bytesSource(bytes), 'lib');
    const dwarf = openDwarf(elf);
    if (!dwarf) return 0;
    const found = await findFunctions(dwarf, { groups: [[]], accept: (name) => name }, noPause);
    const types = await findTypes(dwarf, ['shapes::Pair<u64>', 'shapes::Choice', 'point'], noPause);
    for (const type of types.values())
      await new PartFinder(dwarf, noPause).follow(type, ['?second', '?at', '~no::such::Type', '#']);
    for (const { ranges } of found)
      for (const { start: from, end } of ranges)
        assert.ok(from < end && dwarf.code.some((code) => from >= code.start && end <= code.end));
    return found.length;
  } catch (error) {
    assert.ok(
      error instanceof Error && /^Cannot |^lib is /.test(error.message),
      `${hint}${(error as Error).stack}`,
    );
    return 0;
  } finally {
    const took = cpuMs() - start;
    if (took > QUICK_MS) {
      const walks = took / walkMs();
      assert.ok(walks < LIMIT_WALKS, `${hint} took ${took} ms, as long as ${walks} walks over 64 MiB`);
    }
  }
}

const debugSections = (bytes: Buffer): readonly Section[] =>
  parseElf(bytesSource(bytes), 'lib').sections.filter(({ name }) => name.startsWith('.debug_'));

test('every byte of abbreviations, entries and lists, set to extremes', async () => {
  for (const name of ['clang-dwarf5', 'gcc-dwarf64', 'gcc-dwarf4']) {
    const bytes = fixture(name);
    for (const { offset, size, name: section } of debugSections(bytes)) {
      if (!/abbrev|info|addr|rnglists|ranges|str_offsets/.test(section)) continue;
      for (let at = offset; at < offset + size; at++)
        for (const value of [0, 1, 0x16, 0x7f, 0x80, 0xff]) {
          const copy = Buffer.from(bytes);
          copy[at] = value;
          await readAll(copy, `${name} ${section} +${at - offset} = ${value}: `);
        }
    }
  }
});

test('bytes changed anywhere in the debug sections', async () => {
  const files = FIXTURES.filter((name) => name !== 'rust-zlib').map((name) => {
    const bytes = fixture(name);
    return { bytes, sections: debugSections(bytes) };
  });
  const change = fc.record({ section: fc.nat(20), at: fc.nat(1 << 16), value: fc.nat(255) });
  let found = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...files),
      fc.array(change, { minLength: 1, maxLength: 20 }),
      async ({ bytes, sections }, changes) => {
        const copy = Buffer.from(bytes);
        for (const { section, at, value } of changes) {
          const { offset, size } = sections[section % sections.length] as Section;
          copy[offset + (at % size)] = value;
        }
        found += await readAll(copy);
      },
    ),
    { numRuns: 3000 },
  );
  assert.ok(found > 3000, `only ${found} functions found in all`);
});

test('a section cut short by its header, at every length', async () => {
  const bytes = fixture('clang-dwarf5');
  const table = Number(bytes.readBigUInt64LE(0x28));
  for (const { index, size } of debugSections(bytes))
    for (let length = 0; length < size; length++) {
      const copy = Buffer.from(bytes);
      copy.writeBigUInt64LE(BigInt(length), table + index * 64 + 32);
      await readAll(copy, `section ${index} cut to ${length}: `);
    }
});

test('millions of units, of entries and of nested entries end with an error or an answer', async () => {
  const bytes = fixture('gcc-dwarf4');
  const { offset, size } = sectionOf(bytes, '.debug_info');
  const info = bytes.subarray(offset, offset + size);
  const unit = (...entries: readonly number[]) =>
    Buffer.from([7 + entries.length, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, ...entries]);
  const units = (one: Buffer, count: number) => Buffer.concat(Array.from({ length: count }, () => one));
  const one = Buffer.alloc(1 << 22, 1);
  one.set(info.subarray(0, 11));
  one.writeUInt32LE(one.length - 4);
  const codes = Buffer.from([1, 0x2e, 1, 0, 0, 0]);
  for (const [abbreviations, content] of [
    [undefined, units(unit(), 1 << 20)],
    [undefined, units(unit(0), 1 << 20)],
    [codes, units(unit(1, 0), 100_000)],
    [undefined, one],
    [codes, one],
    [Buffer.from([1, 0x2e, 0, 0, 0, 0]), one],
  ] as const) {
    const changed = withSection(bytes, '.debug_info', content);
    await readAll(abbreviations ? withSection(changed, '.debug_abbrev', abbreviations) : changed);
  }
});

test('entries that all point to one long range list do not multiply the work', async () => {
  const bytes = fixture('gcc-dwarf4');
  const abbreviations = Buffer.from([
    ...[1, 0x11, 1, 0, 0],
    ...[2, 0x2e, 0, 0x03, 0x08, 0x55, 0x17, 0, 0],
    0,
  ]);
  const entry = Buffer.from([2, 0x61, 0, 0, 0, 0, 0]);
  const header = Buffer.from([0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8, 1]);
  const info = Buffer.concat([header, ...Array.from({ length: 100_000 }, () => entry)]);
  info.writeUInt32LE(info.length - 4);
  const list = Buffer.alloc(1 << 20);
  for (let at = 0; at + 32 <= list.length; at += 16) {
    list.writeBigUInt64LE(0x1001n, at);
    list.writeBigUInt64LE(0x1002n, at + 8);
  }
  const entries = withSection(withSection(bytes, '.debug_info', info), '.debug_abbrev', abbreviations);
  await readAll(withSection(entries, '.debug_ranges', list));
});
