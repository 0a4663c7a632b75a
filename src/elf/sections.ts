import { UserError } from '../base/errors.ts';
import { Reader } from '../base/reader.ts';
import { SHN_XINDEX, SHT_NOBITS, SHT_STRTAB } from './constants.ts';
import type { ElfHeader } from './header.ts';
import { type ByteSource, isInside } from './source.ts';

/** Elf64_Shdr with its name. `offset` and `size` are as written and may lie outside a damaged file. */
export interface Section {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly svma: number;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  readonly info: number;
  readonly align: number;
  readonly entrySize: number;
}

const SHDR_SIZE = 64;
/** More than any linker writes; bounds the memory a hostile header can ask for. */
const MAX_SECTIONS = 1 << 20;
const MAX_NAME = 256;

/**
 * All sections, or an empty list when the file has no section headers (sstrip, packers) or headers of an
 * unknown size. A table that runs past the end of the file means that the file is cut.
 */
export function readSections(source: ByteSource, name: string, header: ElfHeader): readonly Section[] {
  const { sectionHeaderOffset: offset } = header;
  if (offset === 0 || header.sectionHeaderSize !== SHDR_SIZE) return [];
  const count = sectionCount(source, name, header);
  checkTable(source, name, offset, count);
  const reader = new Reader(source.read(offset, count * SHDR_SIZE, 'section headers'), offset);
  const raw: Section[] = [];
  for (let index = 0; index < count; index += 1) raw.push(readSection(reader, index));
  const names = nameTable(source, header, raw);
  return raw.map((section, index) => ({ ...section, name: nameAt(names, reader, index) }));
}

function checkTable(source: ByteSource, name: string, offset: number, count: number): void {
  if (count > MAX_SECTIONS)
    throw new UserError(`${name} is damaged: ${count} sections, at most ${MAX_SECTIONS} are read`);
  if (isInside(offset, count * SHDR_SIZE, source.size)) return;
  const end = offset + count * SHDR_SIZE;
  throw new UserError(
    `${name} is truncated: its section headers end at byte ${end}, the file has ${source.size} bytes`,
  );
}

/** e_shnum, or sh_size of section 0 when the count does not fit 16 bits. */
function sectionCount(source: ByteSource, name: string, header: ElfHeader): number {
  if (header.sectionHeaderCount !== 0) return header.sectionHeaderCount;
  checkTable(source, name, header.sectionHeaderOffset, 1);
  return sectionZero(source, header).size;
}

function sectionZero(source: ByteSource, header: ElfHeader): Section {
  const offset = header.sectionHeaderOffset;
  return readSection(new Reader(source.read(offset, SHDR_SIZE, 'section header 0'), offset), 0);
}

function readSection(reader: Reader, index: number): Section {
  reader.skip(4, 'sh_name');
  return {
    index,
    name: '',
    type: reader.u32('sh_type'),
    flags: Number(reader.u64Big('sh_flags')),
    svma: Number(reader.u64Big('sh_addr')),
    offset: Number(reader.u64Big('sh_offset')),
    size: Number(reader.u64Big('sh_size')),
    link: reader.u32('sh_link'),
    info: reader.u32('sh_info'),
    align: Number(reader.u64Big('sh_addralign')),
    entrySize: Number(reader.u64Big('sh_entsize')),
  };
}

/** .shstrtab, or undefined when the index or the section is bogus: then all names are empty. */
function nameTable(source: ByteSource, header: ElfHeader, sections: readonly Section[]): Buffer | undefined {
  const index = header.sectionNameIndex === SHN_XINDEX ? sections[0]?.link : header.sectionNameIndex;
  const section = index === undefined ? undefined : sections[index];
  if (section?.type !== SHT_STRTAB || !isInside(section.offset, section.size, source.size)) return undefined;
  return source.read(section.offset, section.size, 'section names');
}

function nameAt(names: Buffer | undefined, headers: Reader, index: number): string {
  headers.seek(index * SHDR_SIZE, 'sh_name');
  const offset = headers.u32('sh_name');
  if (names === undefined || offset >= names.length) return '';
  const window = names.subarray(offset, offset + MAX_NAME);
  const end = window.indexOf(0);
  return window.toString('latin1', 0, end < 0 ? window.length : end);
}

/** True when the section has bytes in the file and they lie inside it. */
export function hasBytes(section: Section, fileSize: number): boolean {
  return section.type !== SHT_NOBITS && section.size > 0 && isInside(section.offset, section.size, fileSize);
}
