import { messageOf, UserError } from '../base/errors.ts';
import { inflateSection, isCompressed, MAX_INFLATED } from './compression.ts';
import { EM_X86_64 } from './constants.ts';
import { type ElfHeader, readHeader } from './header.ts';
import { hasBytes, readSections, type Section } from './sections.ts';
import { readSegments, type Segment } from './segments.ts';
import type { ByteSource } from './source.ts';

/** An ELF file's tables; the bytes of sections stay in `source` until asked for. */
export interface ElfFile {
  /** For messages: the path, or what the object is. */
  readonly name: string;
  readonly source: ByteSource;
  readonly header: ElfHeader;
  readonly segments: readonly Segment[];
  readonly sections: readonly Section[];
}

/** Parses the tables of a 64-bit little-endian ELF file for `machine`. Throws UserError for anything else. */
export function parseElf(source: ByteSource, name: string, machine: number = EM_X86_64): ElfFile {
  try {
    const header = readHeader(source, name, machine);
    const sections = readSections(source, name, header);
    const segments = readSegments(source, name, header, sections);
    return { name, source, header, segments, sections };
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${name} is a damaged ELF file. ${messageOf(error)}`);
  }
}

/** The first section of that name whose bytes are in the file. */
export function findSection(elf: ElfFile, name: string): Section | undefined {
  return elf.sections.find((section) => section.name === name && hasBytes(section, elf.source.size));
}

/** A section's bytes, decompressed where needed. Throws when they lie outside the file or exceed `limit`. */
export function sectionBytes(elf: ElfFile, section: Section, limit = MAX_INFLATED): Buffer {
  if (isCompressed(section)) {
    const raw = elf.source.read(section.offset, section.size, `${section.name} of ${elf.name}`);
    return inflateSection(raw, section.name, limit);
  }
  if (section.size > limit)
    throw new Error(`Cannot read ${section.name}: ${section.size} bytes, limit ${limit}`);
  return elf.source.read(section.offset, section.size, `${section.name} of ${elf.name}`);
}
