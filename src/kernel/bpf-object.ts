import { Reader } from '../base/reader.ts';
import {
  EM_BPF,
  SHF_EXECINSTR,
  SHN_UNDEF,
  SHT_NOBITS,
  SHT_REL,
  SHT_SYMTAB,
  STT_FUNC,
} from '../elf/constants.ts';
import { type ElfFile, findSection, parseElf, sectionBytes } from '../elf/elf.ts';
import type { Section } from '../elf/sections.ts';
import { bytesSource } from '../elf/source.ts';
import { Btf } from './btf.ts';
import { type BtfExt, parseBtfExt } from './btf-ext.ts';

/** A clang-built BPF object, taken apart; nothing here depends on the running kernel. */
export interface BpfObject {
  readonly license: string;
  readonly btf: Btf;
  readonly btfBytes: Buffer;
  readonly btfExt: BtfExt;
  /** All functions: entry programs by their own section, subprograms in `.text`. */
  readonly functions: readonly BpfFunction[];
  /** `.rodata`, `.data`, `.bss` and their kin, by section name. */
  readonly data: ReadonlyMap<string, DataSection>;
  readonly sectionNames: readonly string[];
  readonly symbols: readonly BpfSymbol[];
}

export interface BpfFunction {
  readonly name: string;
  readonly section: string;
  readonly sectionIndex: number;
  /** Byte range in the section. */
  readonly start: number;
  readonly end: number;
  readonly code: Buffer;
  readonly relocations: readonly Relocation[];
}

export interface DataSection {
  readonly name: string;
  readonly index: number;
  readonly bytes: Buffer;
}

export interface BpfSymbol {
  readonly name: string;
  readonly type: number;
  readonly weak: boolean;
  readonly sectionIndex: number;
  readonly value: number;
  readonly size: number;
}

/** Elf64_Rel. `offset` is in the section, bytes. */
export interface Relocation {
  readonly offset: number;
  readonly type: number;
  readonly symbol: BpfSymbol;
}

const SYMBOL_SIZE = 24;
const REL_SIZE = 16;
const STB_WEAK = 2;
const INSTRUCTION_SIZE = 8;

export function parseBpfObject(bytes: Uint8Array, name: string): BpfObject {
  const elf = parseElf(bytesSource(bytes), name, EM_BPF);
  const btfSection = findSection(elf, '.BTF');
  if (!btfSection) throw new Error(`Cannot load ${name}: no .BTF section; compile with -g`);
  const btfBytes = sectionBytes(elf, btfSection);
  const btf = new Btf(btfBytes, name);
  const extSection = findSection(elf, '.BTF.ext');
  const symbols = readSymbols(elf);
  const license = findSection(elf, 'license');
  return {
    license: license ? new Reader(sectionBytes(elf, license)).cstring('license') : '',
    btf,
    btfBytes,
    btfExt: parseBtfExt(extSection && sectionBytes(elf, extSection), btf),
    functions: readFunctions(elf, symbols),
    data: readDataSections(elf),
    sectionNames: elf.sections.map((section) => section.name),
    symbols,
  };
}

function readSymbols(elf: ElfFile): BpfSymbol[] {
  const table = elf.sections.find((section) => section.type === SHT_SYMTAB);
  const strings = table && elf.sections[table.link];
  if (!table || !strings) throw new Error(`Cannot load ${elf.name}: no symbol table`);
  const names = new Reader(sectionBytes(elf, strings), strings.offset);
  const reader = new Reader(sectionBytes(elf, table), table.offset);
  const symbols: BpfSymbol[] = [];
  while (reader.remaining >= SYMBOL_SIZE) {
    names.seek(reader.u32('st_name'), 'symbol name');
    const info = reader.u8('st_info');
    reader.skip(1, 'st_other');
    symbols.push({
      name: names.cstring('symbol name'),
      type: info & 0xf,
      weak: info >> 4 === STB_WEAK,
      sectionIndex: reader.u16('st_shndx'),
      value: reader.u64('st_value'),
      size: reader.u64('st_size'),
    });
  }
  return symbols;
}

function readFunctions(elf: ElfFile, symbols: readonly BpfSymbol[]): BpfFunction[] {
  const functions: BpfFunction[] = [];
  for (const section of elf.sections) {
    if ((section.flags & SHF_EXECINSTR) === 0 || section.size === 0) continue;
    const code = sectionBytes(elf, section);
    const relocations = readRelocations(elf, section, symbols);
    for (const symbol of symbols) {
      if (symbol.type !== STT_FUNC || symbol.sectionIndex !== section.index) continue;
      functions.push(functionOf(symbol, section, code, relocations));
    }
  }
  return functions;
}

function functionOf(
  symbol: BpfSymbol,
  section: Section,
  code: Buffer,
  relocations: readonly Relocation[],
): BpfFunction {
  const start = symbol.value;
  const end = start + symbol.size;
  if (
    end > code.length ||
    start % INSTRUCTION_SIZE !== 0 ||
    symbol.size % INSTRUCTION_SIZE !== 0 ||
    symbol.size === 0
  ) {
    throw new Error(
      `Cannot load ${symbol.name}: bytes ${start} to ${end} of ${section.name}, which has ${code.length}`,
    );
  }
  return {
    name: symbol.name,
    section: section.name,
    sectionIndex: section.index,
    start,
    end,
    code: code.subarray(start, end),
    relocations: relocations.filter(({ offset }) => offset >= start && offset < end),
  };
}

function readRelocations(elf: ElfFile, target: Section, symbols: readonly BpfSymbol[]): Relocation[] {
  const relocations: Relocation[] = [];
  for (const section of elf.sections) {
    if (section.type !== SHT_REL || section.info !== target.index) continue;
    const reader = new Reader(sectionBytes(elf, section), section.offset);
    while (reader.remaining >= REL_SIZE) {
      const offset = reader.u64('r_offset');
      const type = reader.u32('r_info type');
      const index = reader.u32('r_info symbol');
      const symbol = symbols[index];
      if (!symbol) throw new Error(`Cannot read ${section.name}: symbol ${index} of ${symbols.length}`);
      if (offset % INSTRUCTION_SIZE !== 0)
        throw new Error(`Cannot read ${section.name}: offset ${offset} is inside an instruction`);
      relocations.push({ offset, type, symbol });
    }
  }
  return relocations;
}

function readDataSections(elf: ElfFile): Map<string, DataSection> {
  const sections = new Map<string, DataSection>();
  for (const section of elf.sections) {
    if (!/^\.(rodata|data|bss)(\.|$)/.test(section.name) || section.size === 0) continue;
    const bytes = section.type === SHT_NOBITS ? zeroes(section) : Buffer.from(sectionBytes(elf, section));
    sections.set(section.name, { name: section.name, index: section.index, bytes });
  }
  return sections;
}

/** A map's value is at most this large; bounds what a damaged header can ask for. */
const MAX_BSS = 1 << 28;

function zeroes(section: Section): Buffer {
  if (section.size > MAX_BSS)
    throw new Error(`Cannot load ${section.name}: ${section.size} bytes, at most ${MAX_BSS}`);
  return Buffer.alloc(section.size);
}

export const isUndefined = (symbol: BpfSymbol): boolean => symbol.sectionIndex === SHN_UNDEF;
