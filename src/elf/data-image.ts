import { svma as asSvma } from '../base/address.ts';
import {
  DT_JMPREL,
  DT_PLTRELSZ,
  DT_RELA,
  DT_RELASZ,
  DT_STRSZ,
  DT_STRTAB,
  DT_SYMTAB,
  SHF_ALLOC,
  SHF_EXECINSTR,
  SHT_NOBITS,
} from './constants.ts';
import { dynamicEntries } from './dynamic.ts';
import type { ElfFile } from './elf.ts';
import { hasBytes } from './sections.ts';
import { isExecutable, loadSegments, toFileOffset } from './segments.ts';
import { isInside } from './source.ts';
import { stringAt } from './strings.ts';

const R_X86_64_64 = 1;
const R_X86_64_GLOB_DAT = 6;
const R_X86_64_JUMP_SLOT = 7;
const R_X86_64_RELATIVE = 8;
const RELA_SIZE = 24;
const SYM_SIZE = 24;
/** More than a gigabyte of data is no program's. */
const MAX_DATA = 1 << 30;
/** Relocations that name a symbol: a few hundred in a program, each looked up on its own. */
const MAX_SYMBOLS = 1 << 16;
/** Data that no code refers to by address. */
const NOT_REFERRED = /^\.(eh_frame|eh_frame_hdr|gcc_except_table|rela?\..*|relr\..*|dynsym|dynstr|gnu\..*)$/;

interface DataRange {
  readonly svma: number;
  readonly bytes: Buffer;
  readonly view: DataView;
}

/**
 * The data of a program as its code finds it, addresses being svmas: relative relocations applied, and slots of the
 * global offset table filled where the symbol is the program's own. RELR relocations add the load address to what
 * is stored, which is the svma already: nothing to apply.
 */
export class DataImage {
  /** Sorted, without overlap. */
  readonly ranges: readonly DataRange[];
  /** Slots that the dynamic linker fills with the address of another object's symbol. */
  readonly imports: ReadonlyMap<number, string>;

  constructor(ranges: readonly DataRange[], imports: ReadonlyMap<number, string>) {
    this.ranges = ranges;
    this.imports = imports;
  }

  u64(address: number): number | undefined {
    const range = this.#rangeOf(address, 8);
    return range && readU64(range.view, address - range.svma);
  }

  u32(address: number): number | undefined {
    const range = this.#rangeOf(address, 4);
    return range?.view.getUint32(address - range.svma, true);
  }

  bytes(address: number, size: number): Buffer | undefined {
    const range = this.#rangeOf(address, size);
    return range?.bytes.subarray(address - range.svma, address - range.svma + size);
  }

  has(address: number): boolean {
    return this.#rangeOf(address, 1) !== undefined;
  }

  /** Every address at which the bytes are. */
  find(bytes: Uint8Array, limit = 64): readonly number[] {
    const found: number[] = [];
    for (const range of this.ranges)
      for (let at = range.bytes.indexOf(bytes); at >= 0 && found.length < limit; )
        if (found.push(range.svma + at)) at = range.bytes.indexOf(bytes, at + 1);
    return found;
  }

  #rangeOf(address: number, size: number): DataRange | undefined {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ranges[middle]?.svma ?? 0) <= address) low = middle + 1;
      else high = middle;
    }
    const range = this.ranges[low - 1];
    return range && address + size <= range.svma + range.bytes.length ? range : undefined;
  }
}

export const readU64 = (view: DataView, at: number): number =>
  view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);

/** Reads all data of the program. Relocations that make no sense are passed over. */
export function readDataImage(elf: ElfFile): DataImage {
  const ranges = dataRanges(elf).map(({ svma, offset, size }): DataRange => {
    const bytes = Buffer.from(elf.source.read(offset, size, 'data'));
    return { svma, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
  });
  const image = new DataImage(ranges, new Map());
  const write = (address: number, value: number): void => {
    const bytes = value >= 0 ? image.bytes(address, 8) : undefined;
    bytes?.writeUInt32LE(value >>> 0, 0);
    bytes?.writeUInt32LE(Math.floor(value / 0x1_0000_0000) >>> 0, 4);
  };
  const imports = new Map<number, string>();
  const tags = new Map((dynamicEntries(elf) ?? []).map(({ tag, value }) => [tag, value]));
  const symbols = dynamicSymbols(elf, tags);
  for (const [address, size] of [
    [tags.get(DT_RELA), tags.get(DT_RELASZ)],
    [tags.get(DT_JMPREL), tags.get(DT_PLTRELSZ)],
  ])
    applyRela(tableAt(elf, address, size), symbols, write, imports);
  return new DataImage(ranges, imports);
}

interface FileRange {
  readonly svma: number;
  readonly offset: number;
  readonly size: number;
}

/** Allocated sections without code; without section headers the segments that are not executable. */
function dataRanges(elf: ElfFile): readonly FileRange[] {
  const sections = elf.sections.filter(
    ({ flags, type, name }) =>
      (flags & SHF_ALLOC) !== 0 &&
      (flags & SHF_EXECINSTR) === 0 &&
      type !== SHT_NOBITS &&
      !NOT_REFERRED.test(name),
  );
  const whole = sections.filter((section) => hasBytes(section, elf.source.size));
  const segments = loadSegments(elf.segments)
    .filter((one) => !isExecutable(one) && isInside(one.fileOffset, one.fileSize, elf.source.size))
    .map((one) => ({ svma: one.svma, offset: one.fileOffset, size: one.fileSize }));
  return withoutOverlap(whole.length > 0 ? whole : segments);
}

function withoutOverlap(ranges: readonly FileRange[]): readonly FileRange[] {
  const kept: FileRange[] = [];
  let [end, total] = [0, 0];
  for (const { svma, offset, size } of ranges.toSorted((a, b) => a.svma - b.svma)) {
    total += size;
    if (svma < end || total > MAX_DATA) continue;
    kept.push({ svma, offset, size });
    end = svma + size;
  }
  return kept;
}

function tableAt(elf: ElfFile, address?: number, size?: number): DataView {
  const offset =
    address === undefined ? undefined : toFileOffset(loadSegments(elf.segments), asSvma(address));
  if (
    offset === undefined ||
    size === undefined ||
    size > MAX_DATA ||
    !isInside(offset, size, elf.source.size)
  )
    return new DataView(new ArrayBuffer(0));
  const bytes = elf.source.read(offset, size, 'relocations');
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** A symbol of the dynamic table: its address where it is defined here, else its name. */
type SymbolOf = (index: number) => number | string | undefined;

function dynamicSymbols(elf: ElfFile, tags: ReadonlyMap<number, number>): SymbolOf {
  const strings = tableAt(elf, tags.get(DT_STRTAB), tags.get(DT_STRSZ));
  const names = Buffer.from(strings.buffer, strings.byteOffset, strings.byteLength);
  const table = tags.get(DT_SYMTAB);
  let left = MAX_SYMBOLS;
  return (index) => {
    if (left-- <= 0) return undefined;
    const symbol = tableAt(elf, table === undefined ? undefined : table + index * SYM_SIZE, SYM_SIZE);
    if (symbol.byteLength < SYM_SIZE) return undefined;
    if (symbol.getUint16(6, true) !== 0) return readU64(symbol, 8);
    return stringAt(names, symbol.getUint32(0, true));
  };
}

function applyRela(
  table: DataView,
  symbols: SymbolOf,
  write: (address: number, value: number) => void,
  imports: Map<number, string>,
): void {
  for (let at = 0; at + RELA_SIZE <= table.byteLength; at += RELA_SIZE) {
    const type = table.getUint32(at + 8, true);
    const place = readU64(table, at);
    if (type === R_X86_64_RELATIVE) write(place, readU64(table, at + 16));
    else if (type === R_X86_64_64 || type === R_X86_64_GLOB_DAT || type === R_X86_64_JUMP_SLOT) {
      const symbol = symbols(table.getUint32(at + 12, true));
      if (typeof symbol === 'string') imports.set(place, symbol);
      else if (symbol) write(place, symbol + (type === R_X86_64_64 ? readU64(table, at + 16) : 0));
    }
  }
}
