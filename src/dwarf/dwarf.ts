import { SHF_EXECINSTR } from '../elf/constants.ts';
import type { ElfFile } from '../elf/elf.ts';
import { findSection } from '../elf/elf.ts';
import { Abbreviations, type AbbreviationTable } from './abbreviations.ts';
import * as C from './constants.ts';
import { Cursor } from './cursor.ts';
import { Entries } from './entries.ts';
import { isAddressIndex } from './forms.ts';
import { type SectionData, sectionData } from './section-data.ts';
import { readUnits, type Unit } from './units.ts';

/** What the forms of a unit count from, from its own entry. */
export interface UnitBases {
  /** Where its range lists start when they don't say. */
  readonly address: number;
  readonly strings: number;
  readonly addresses: number;
  readonly rangeLists: number;
}

/** The debugging information of one file; nothing of it is read before it is asked for. */
export interface Dwarf {
  readonly units: readonly Unit[];
  /** Units that are not read, with their number: `split DWARF` → 12. */
  readonly skipped: ReadonlyMap<string, number>;
  readonly info: SectionData;
  readonly str: SectionData;
  readonly lineStr: SectionData;
  readonly strOffsets: SectionData;
  readonly addr: SectionData;
  readonly ranges: SectionData;
  readonly rngLists: SectionData;
  /** Executable sections, in order: what the linker dropped has addresses outside of them. */
  readonly code: readonly Range[];
  table(unit: Unit): AbbreviationTable;
  bases(unit: Unit): UnitBases;
}

/** Addresses as in the file, [start, end). */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** Undefined for a file without `.debug_info`. Throws when the headers of its units can't be read. */
export function openDwarf(elf: ElfFile): Dwarf | undefined {
  if (findSection(elf, '.debug_info') === undefined) return undefined;
  const section = (name: string) => lazy(name, () => sectionData(elf, name));
  const info = section('.debug_info');
  const abbreviations = new Abbreviations(section('.debug_abbrev'));
  const { units, skipped } = readUnits(info);
  const addr = section('.debug_addr');
  const known = new Map<Unit, UnitBases>();
  const table = (unit: Unit) => abbreviations.table(unit.abbreviations, unit);
  return {
    units,
    skipped,
    info,
    str: section('.debug_str'),
    lineStr: section('.debug_line_str'),
    strOffsets: section('.debug_str_offsets'),
    addr,
    ranges: section('.debug_ranges'),
    rngLists: section('.debug_rnglists'),
    code: codeRanges(elf),
    table,
    bases(unit) {
      const bases = known.get(unit) ?? readBases(info, addr, unit, table(unit));
      if (known.size < MAX_KNOWN) known.set(unit, bases);
      return bases;
    },
  };
}

const MAX_KNOWN = 1 << 16;

function lazy(name: string, open: () => SectionData): SectionData {
  let section: SectionData | undefined;
  const get = (): SectionData => {
    section ??= open();
    return section;
  };
  return {
    name,
    get size() {
      return get().size;
    },
    read: (offset, size) => get().read(offset, size),
  };
}

function codeRanges(elf: ElfFile): readonly Range[] {
  return elf.sections
    .filter(({ flags, svma }) => (flags & SHF_EXECINSTR) !== 0 && svma > 0)
    .map(({ svma, size }) => ({ start: svma, end: svma + size }))
    .sort((a, b) => a.start - b.start);
}

export const isCode = (dwarf: Dwarf, { start, end }: Range): boolean =>
  start < end && dwarf.code.some((range) => start >= range.start && end <= range.end);

const ROOT_WINDOW = 1 << 12;

function readBases(info: SectionData, addr: SectionData, unit: Unit, table: AbbreviationTable): UnitBases {
  const size = Math.min(ROOT_WINDOW, unit.end - unit.entries);
  const entries = new Entries(unit, info.read(unit.entries, size), unit.entries, table);
  if (entries.next()) entries.read();
  const addresses = entries.value(C.DW_AT_addr_base) ?? 8;
  const low = entries.value(C.DW_AT_low_pc) ?? 0;
  const isIndex = entries.has(C.DW_AT_low_pc) && isAddressIndex(entries.form(C.DW_AT_low_pc));
  return {
    address: isIndex ? indexedAddress(addr, addresses, low) : low,
    strings: entries.value(C.DW_AT_str_offsets_base) ?? 8,
    addresses,
    rangeLists: entries.value(C.DW_AT_rnglists_base) ?? 0,
  };
}

/** An entry of `.debug_addr`. */
export function indexedAddress(addr: SectionData, base: number, index: number): number {
  const at = base + index * 8;
  return new Cursor(addr.read(at, 8), at, addr.name).u64();
}

/** The entries of a unit, from the first. */
export function entriesOf(dwarf: Dwarf, unit: Unit): Entries {
  const bytes = dwarf.info.read(unit.entries, unit.end - unit.entries);
  return new Entries(unit, bytes, unit.entries, dwarf.table(unit));
}

const ENTRY_WINDOW = 1 << 9;

/** One entry, read; undefined where there is none. A longer one than the window is tried again with the whole unit. */
export function entryAt(dwarf: Dwarf, unit: Unit, offset: number): Entries | undefined {
  if (offset < unit.entries || offset >= unit.end) return undefined;
  const available = unit.end - offset;
  for (const size of [Math.min(ENTRY_WINDOW, available), Math.min(1 << 16, available)]) {
    const entries = new Entries(unit, dwarf.info.read(offset, size), offset, dwarf.table(unit));
    try {
      if (!entries.next()) return undefined;
      entries.read();
      return entries.offset === offset ? entries : undefined;
    } catch (error) {
      if (size === available) throw error;
    }
  }
  return undefined;
}
