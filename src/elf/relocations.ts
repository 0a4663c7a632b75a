import { Reader } from '../base/reader.ts';
import { SHT_REL } from './constants.ts';
import { type ElfFile, sectionBytes } from './elf.ts';
import type { Section } from './sections.ts';

/** One Elf64_Rel entry; `offset` is relative to the section the relocations are for. */
export interface Relocation {
  readonly offset: number;
  readonly type: number;
  readonly symbol: number;
}

/** The SHT_REL entries of `section` (its `info` is the index of the section they change). */
export function readRelocations(elf: ElfFile, section: Section): readonly Relocation[] {
  if (section.type !== SHT_REL)
    throw new Error(`Cannot read ${section.name} as SHT_REL: its type is ${section.type}`);
  const reader = new Reader(sectionBytes(elf, section), section.offset);
  const relocations: Relocation[] = [];
  while (reader.remaining >= 16) {
    const offset = reader.u64('r_offset');
    const type = reader.u32('r_info type');
    relocations.push({ offset, type, symbol: reader.u32('r_info symbol') });
  }
  return relocations;
}
