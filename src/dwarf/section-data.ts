import { isCompressed } from '../elf/compression.ts';
import { type ElfFile, findSection, sectionBytes } from '../elf/elf.ts';
import { checkRange } from '../elf/source.ts';

/** The bytes of one section, read where they are needed; a compressed one is inflated at its first use. */
export interface SectionData {
  readonly name: string;
  readonly size: number;
  read(offset: number, size: number): Buffer;
}

/** What an absent section holds. */
const EMPTY = Buffer.alloc(0);

export function sectionData(elf: ElfFile, name: string): SectionData {
  const section = findSection(elf, name);
  if (section === undefined) return memory(name, EMPTY);
  if (isCompressed(section)) return memory(name, sectionBytes(elf, section));
  return {
    name,
    size: section.size,
    read(offset, size) {
      checkRange(offset, size, section.size, name);
      return elf.source.read(section.offset + offset, size, name);
    },
  };
}

function memory(name: string, bytes: Buffer): SectionData {
  return {
    name,
    size: bytes.length,
    read(offset, size) {
      checkRange(offset, size, bytes.length, name);
      return bytes.subarray(offset, offset + size);
    },
  };
}
