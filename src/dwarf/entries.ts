import type { Abbreviation, AbbreviationTable } from './abbreviations.ts';
import * as C from './constants.ts';
import { Cursor } from './cursor.ts';
import { isUnitReference, readNumber, skipForm } from './forms.ts';
import type { Unit } from './units.ts';

/** Attributes that are kept; all others are skipped. */
const KEPT = [
  C.DW_AT_name,
  C.DW_AT_byte_size,
  C.DW_AT_low_pc,
  C.DW_AT_high_pc,
  C.DW_AT_discr,
  C.DW_AT_abstract_origin,
  C.DW_AT_data_member_location,
  C.DW_AT_specification,
  C.DW_AT_type,
  C.DW_AT_ranges,
  C.DW_AT_call_line,
  C.DW_AT_linkage_name,
  C.DW_AT_str_offsets_base,
  C.DW_AT_addr_base,
  C.DW_AT_rnglists_base,
];
/** By attribute: where its value is kept, from 1. */
const SLOTS = new Uint8Array(0x80);
for (const [index, attribute] of KEPT.entries()) SLOTS[attribute] = index + 1;
const zeros = (): number[] => new Array(KEPT.length + 1).fill(0);

/** Far deeper than scopes nest in real programs. */
const MAX_DEPTH = 4096;

/**
 * Walks the entries of a unit in order. `next` moves to an entry; `read` takes its attributes, else they are
 * skipped. One object for all entries: nothing is allocated for the millions that a program has.
 */
export class Entries {
  readonly unit: Unit;
  /** Of the entry, from the start of `.debug_info`. */
  offset = 0;
  /** 0 for the unit's own entry. */
  depth = -1;
  tag = 0;
  readonly #cursor: Cursor;
  readonly #table: AbbreviationTable;
  // Plain arrays: a unit may have one entry, and typed ones cost more than it.
  readonly #values = zeros();
  readonly #forms = zeros();
  /** Which entry a value is of. */
  readonly #stamps = zeros();
  #stamp = 0;
  #abbreviation: Abbreviation | undefined;
  #level = 0;
  #isRead = true;

  /** `bytes` are the unit's from `start` on, which is the place of an entry. */
  constructor(unit: Unit, bytes: Buffer, start: number, table: AbbreviationTable) {
    this.unit = unit;
    this.#cursor = new Cursor(bytes, start, 'entry');
    this.#table = table;
  }

  /** False at the end of the unit. */
  next(): boolean {
    if (!this.#isRead) this.#skip();
    const cursor = this.#cursor;
    for (;;) {
      if (cursor.isAtEnd) return false;
      const at = cursor.at;
      const code = cursor.uleb();
      if (code !== 0) {
        this.#begin(code, cursor.origin + at);
        return true;
      }
      // Padding behind the last entry is zero, too.
      this.#level = Math.max(0, this.#level - 1);
    }
  }

  #begin(code: number, offset: number): void {
    const abbreviation = this.#table.get(code);
    if (abbreviation === undefined) throw this.#cursor.error(`an entry of the unknown abbreviation ${code}`);
    this.#abbreviation = abbreviation;
    this.offset = offset;
    this.tag = abbreviation.tag;
    this.depth = this.#level;
    this.#isRead = false;
    if (!abbreviation.hasChildren) return;
    this.#level++;
    if (this.#level > MAX_DEPTH) throw this.#cursor.error(`entries nest deeper than ${MAX_DEPTH}`);
  }

  #skip(): void {
    const { forms, sizes, size } = this.#abbreviation as Abbreviation;
    if (size >= 0) this.#cursor.skip(size);
    else
      for (let index = 0; index < forms.length; index++) {
        const own = sizes[index] as number;
        if (own >= 0) this.#cursor.skip(own);
        else skipForm(this.#cursor, forms[index] as number, this.unit);
      }
    this.#isRead = true;
  }

  read(): void {
    const { attributes, forms, constants, sizes } = this.#abbreviation as Abbreviation;
    this.#isRead = true;
    this.#stamp++;
    for (let index = 0; index < forms.length; index++) {
      let attribute = attributes[index] as number;
      const form = forms[index] as number;
      if (attribute === C.DW_AT_MIPS_linkage_name) attribute = C.DW_AT_linkage_name;
      const size = sizes[index] as number;
      const slot = attribute < 0x80 ? (SLOTS[attribute] as number) : 0;
      if (slot > 0) this.#keep(slot, form, size, constants[index] as number);
      else if (size >= 0) this.#cursor.skip(size);
      else skipForm(this.#cursor, form, this.unit);
    }
  }

  #keep(slot: number, form: number, size: number, constant: number): void {
    const value = this.#valueOf(form, size, constant);
    if (value === undefined) return;
    this.#values[slot] = value;
    this.#forms[slot] = form;
    this.#stamps[slot] = this.#stamp;
  }

  /** References count from the section's start; a string in place stands for its own place. */
  #valueOf(form: number, size: number, constant: number): number | undefined {
    const cursor = this.#cursor;
    if (form === C.DW_FORM_string) {
      const place = cursor.origin + cursor.at;
      cursor.skipString();
      return place;
    }
    const value = readNumber(cursor, form, size, constant, this.unit);
    return value !== undefined && isUnitReference(form) ? this.unit.offset + value : value;
  }

  /** Of the entry that was read last; undefined when it has no such attribute. */
  value(attribute: number): number | undefined {
    return this.has(attribute) ? this.#values[SLOTS[attribute] as number] : undefined;
  }

  form(attribute: number): number {
    return this.#forms[SLOTS[attribute] as number] ?? 0;
  }

  has(attribute: number): boolean {
    return this.#stamps[SLOTS[attribute] as number] === this.#stamp;
  }
}
