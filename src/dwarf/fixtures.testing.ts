import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { findSection, parseElf } from '../elf/elf.ts';
import type { Section } from '../elf/sections.ts';
import { bytesSource } from '../elf/source.ts';
import type { FunctionCode } from './functions.ts';

const FOLDER = new URL('../../../fixtures/dwarf/', import.meta.url);

export const FIXTURES = [
  'rust-dwarf4',
  'rust-dwarf5',
  'rust-lto',
  'rust-lines',
  'rust-zlib',
  'rust-split.debug',
  'gcc-dwarf4',
  'gcc-dwarf5',
  'gcc-dwarf64',
  'clang-dwarf5',
] as const;

/** A file of fixtures/dwarf, unpacked. */
export function fixture(name: string): Buffer {
  return gunzipSync(readFileSync(new URL(`${name}.gz`, FOLDER)));
}

/** What llvm-dwarfdump says, see the fixtures' README. */
export interface ExpectedCode {
  readonly name: string;
  readonly ranges: readonly (readonly [start: number, end: number])[];
  readonly into?: string;
  readonly line?: number;
}

/** Without what the linker has dropped. */
export function expectedCode(name: string): readonly ExpectedCode[] {
  const lines = readFileSync(new URL(`${name}.jsonl`, FOLDER), 'utf8')
    .trimEnd()
    .split('\n');
  const all = lines.map((line) => JSON.parse(line) as ExpectedCode);
  return all.filter(({ ranges }) => (ranges[0]?.[0] ?? 0) > 0).sort(byPlace);
}

export function foundCode({ wanted, ranges, inlinedInto }: FunctionCode<string>): ExpectedCode {
  const pairs = ranges.map(({ start, end }) => [start, end] as const);
  if (!inlinedInto) return { name: wanted, ranges: pairs };
  const { name = '', callLine = 0 } = inlinedInto;
  return { name: wanted, ranges: pairs, into: name, line: callLine };
}

export const byPlace = (a: ExpectedCode, b: ExpectedCode): number => (key(a) < key(b) ? -1 : 1);
const key = ({ ranges, name, line }: ExpectedCode): string => `${ranges.flat().join(' ')} ${name} ${line}`;

export function sectionOf(bytes: Buffer, name: string): Section {
  const section = findSection(parseElf(bytesSource(bytes), 'lib'), name);
  if (!section) throw new Error(`no section ${name}`);
  return section;
}

/** The file with other bytes for one section, appended. */
export function withSection(bytes: Buffer, name: string, content: Buffer): Buffer {
  const { index } = sectionOf(bytes, name);
  const copy = Buffer.concat([bytes, content]);
  const header = Number(bytes.readBigUInt64LE(0x28)) + index * 64;
  copy.writeBigUInt64LE(BigInt(bytes.length), header + 24);
  copy.writeBigUInt64LE(BigInt(content.length), header + 32);
  return copy;
}
