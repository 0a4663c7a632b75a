import * as C from './constants.ts';
import { Cursor } from './cursor.ts';
import { type Dwarf, indexedAddress, isCode, type Range } from './dwarf.ts';
import type { Entries } from './entries.ts';
import { isAddressIndex } from './forms.ts';
import type { Unit } from './units.ts';

/** Entries of range lists that one file may have read: hostile ones point to the same list from everywhere. */
const MAX_LISTED = 1 << 20;
const WINDOW = 1 << 12;

/** Where the code of entries lies. Addresses that the linker dropped are left out. */
export class Addresses {
  readonly #dwarf: Dwarf;
  #left = MAX_LISTED;

  constructor(dwarf: Dwarf) {
    this.#dwarf = dwarf;
  }

  /** Of an entry that was read: from its range list, else its low and high address; empty without code. */
  rangesOf(entries: Entries): readonly Range[] {
    const list = entries.value(C.DW_AT_ranges);
    const all = list === undefined ? this.#single(entries) : this.#list(entries, list);
    return all.filter((range) => isCode(this.#dwarf, range)).sort((a, b) => a.start - b.start);
  }

  /** True for an entry that is not only a declaration or an abstract instance. */
  hasCode(entries: Entries): boolean {
    return entries.has(C.DW_AT_low_pc) || entries.has(C.DW_AT_ranges);
  }

  #single(entries: Entries): readonly Range[] {
    const low = entries.value(C.DW_AT_low_pc);
    const high = entries.value(C.DW_AT_high_pc);
    if (low === undefined || high === undefined) return [];
    const start = this.#address(entries.unit, entries.form(C.DW_AT_low_pc), low);
    const form = entries.form(C.DW_AT_high_pc);
    const isAddress = form === C.DW_FORM_addr || isAddressIndex(form);
    return [{ start, end: isAddress ? this.#address(entries.unit, form, high) : start + high }];
  }

  #address(unit: Unit, form: number, value: number): number {
    return isAddressIndex(form) ? this.#indexed(unit, value) : value;
  }

  #indexed(unit: Unit, index: number): number {
    return indexedAddress(this.#dwarf.addr, this.#dwarf.bases(unit).addresses, index);
  }

  #list(entries: Entries, value: number): readonly Range[] {
    const { unit } = entries;
    if (unit.version < 5) return this.#rangesOf4(unit, value);
    return this.#rangesOf5(
      unit,
      entries.form(C.DW_AT_ranges) === C.DW_FORM_rnglistx ? this.#listAt(unit, value) : value,
    );
  }

  #listAt(unit: Unit, index: number): number {
    const { rngLists } = this.#dwarf;
    const base = this.#dwarf.bases(unit).rangeLists;
    const at = base + index * unit.offsetSize;
    return base + new Cursor(rngLists.read(at, unit.offsetSize), at, rngLists.name).sized(unit.offsetSize);
  }

  /** Pairs of addresses up to two zeros; a pair whose first has all bits set gives the base of the next ones. */
  #rangesOf4(unit: Unit, offset: number): readonly Range[] {
    const found: Range[] = [];
    let base = this.#dwarf.bases(unit).address;
    return this.#read('ranges', offset, (cursor) => {
      const start = cursor.u64();
      const end = cursor.u64();
      if (start === 0 && end === 0) return found;
      if (start >= ALL_BITS) base = end;
      else found.push({ start: base + start, end: base + end });
      return undefined;
    });
  }

  #rangesOf5(unit: Unit, offset: number): readonly Range[] {
    const found: Range[] = [];
    let base = this.#dwarf.bases(unit).address;
    const indexed = (cursor: Cursor) => this.#indexed(unit, cursor.uleb());
    const add = (start: number, end: number): undefined => {
      found.push({ start, end });
    };
    return this.#read('rngLists', offset, (cursor) => {
      const kind = cursor.u8();
      if (kind === C.DW_RLE_end_of_list) return found;
      if (kind === C.DW_RLE_base_addressx) base = indexed(cursor);
      else if (kind === C.DW_RLE_base_address) base = cursor.u64();
      else if (kind === C.DW_RLE_offset_pair) add(base + cursor.uleb(), base + cursor.uleb());
      else if (kind === C.DW_RLE_start_end) add(cursor.u64(), cursor.u64());
      else if (kind === C.DW_RLE_startx_endx) add(indexed(cursor), indexed(cursor));
      else if (kind === C.DW_RLE_start_length || kind === C.DW_RLE_startx_length) {
        const start = kind === C.DW_RLE_start_length ? cursor.u64() : indexed(cursor);
        add(start, start + cursor.uleb());
      } else throw cursor.error(`range list entry of the unknown kind ${kind}`);
      return undefined;
    });
  }

  /** Calls `step` until it gives the list; a list's length is not known, so windows grow. */
  #read(name: 'ranges' | 'rngLists', offset: number, step: (cursor: Cursor) => readonly Range[] | undefined) {
    const section = this.#dwarf[name];
    let cursor = new Cursor(
      section.read(offset, Math.min(WINDOW, section.size - offset)),
      offset,
      section.name,
    );
    for (;;) {
      this.#left--;
      if (this.#left < 0) throw cursor.error(`more than ${MAX_LISTED} ranges in all`);
      if (cursor.bytes.length - cursor.at < MAX_ENTRY) {
        const at = cursor.origin + cursor.at;
        cursor = new Cursor(section.read(at, Math.min(WINDOW, section.size - at)), at, section.name);
      }
      const list = step(cursor);
      if (list !== undefined) return list;
    }
  }
}

/** A kind and two LEB128 numbers of ten bytes. */
const MAX_ENTRY = 21;
/** 2^64 - 1 as the nearest number. */
const ALL_BITS = 2 ** 64;
