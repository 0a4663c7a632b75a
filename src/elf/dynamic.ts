import { svma } from '../base/address.ts';
import { Reader } from '../base/reader.ts';
import {
  DT_FLAGS_1,
  DT_NEEDED,
  DT_NULL,
  DT_SONAME,
  DT_STRSZ,
  DT_STRTAB,
  PT_DYNAMIC,
  PT_INTERP,
} from './constants.ts';
import type { ElfFile } from './elf.ts';
import { loadSegments, toFileOffset } from './segments.ts';
import { isInside } from './source.ts';
import { stringAt } from './strings.ts';

export interface DynamicInfo {
  readonly needed: readonly string[];
  readonly soname: string | undefined;
  readonly flags1: number;
}

export interface DynamicEntry {
  readonly tag: number;
  readonly value: number;
}

const DYN_SIZE = 16;
const MAX_DYNAMIC_SIZE = 1 << 16;
const MAX_STRINGS_SIZE = 1 << 26;
const MAX_INTERPRETER = 4096;

/** DT_* entries of interest; undefined for a static file without PT_DYNAMIC. Names that cannot be read are left out. */
export function readDynamic(elf: ElfFile): DynamicInfo | undefined {
  const entries = dynamicEntries(elf);
  if (entries === undefined) return undefined;
  const strings = dynamicStrings(elf, entries);
  const nameOf = ({ value }: DynamicEntry) => (strings === undefined ? undefined : stringAt(strings, value));
  const soname = entries.find((entry) => entry.tag === DT_SONAME);
  return {
    needed: entries.filter((entry) => entry.tag === DT_NEEDED).flatMap((entry) => nameOf(entry) ?? []),
    soname: soname && nameOf(soname),
    flags1: entryValue(entries, DT_FLAGS_1) ?? 0,
  };
}

export function dynamicEntries(elf: ElfFile): readonly DynamicEntry[] | undefined {
  const segment = elf.segments.find(({ type }) => type === PT_DYNAMIC);
  if (!segment || !isInside(segment.fileOffset, segment.fileSize, elf.source.size)) return undefined;
  const size = Math.min(segment.fileSize, MAX_DYNAMIC_SIZE);
  const reader = new Reader(elf.source.read(segment.fileOffset, size, 'PT_DYNAMIC'), segment.fileOffset);
  const entries: DynamicEntry[] = [];
  while (reader.remaining >= DYN_SIZE) {
    const tag = Number(reader.u64Big('d_tag'));
    const value = Number(reader.u64Big('d_val'));
    if (tag === DT_NULL) break;
    entries.push({ tag, value });
  }
  return entries;
}

function dynamicStrings(elf: ElfFile, entries: readonly DynamicEntry[]): Buffer | undefined {
  const address = entryValue(entries, DT_STRTAB);
  const size = entryValue(entries, DT_STRSZ);
  if (address === undefined || size === undefined || size > MAX_STRINGS_SIZE) return undefined;
  const offset = toFileOffset(loadSegments(elf.segments), svma(address));
  if (offset === undefined || !isInside(offset, size, elf.source.size)) return undefined;
  return elf.source.read(offset, size, 'DT_STRTAB');
}

function entryValue(entries: readonly DynamicEntry[], tag: number): number | undefined {
  return entries.find((entry) => entry.tag === tag)?.value;
}

/** The path in PT_INTERP: `/lib64/ld-linux-x86-64.so.2`. */
export function readInterpreter(elf: ElfFile): string | undefined {
  const segment = elf.segments.find(({ type }) => type === PT_INTERP);
  if (!segment || !isInside(segment.fileOffset, segment.fileSize, elf.source.size)) return undefined;
  return stringAt(
    elf.source.read(segment.fileOffset, Math.min(segment.fileSize, MAX_INTERPRETER), 'PT_INTERP'),
    0,
  );
}
