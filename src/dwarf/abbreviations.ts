import { DW_FORM_implicit_const } from './constants.ts';
import { Cursor } from './cursor.ts';
import { fixedSize, type UnitFormat } from './forms.ts';
import type { SectionData } from './section-data.ts';

/** What one kind of entry holds: attributes and forms in turn. */
export interface Abbreviation {
  readonly tag: number;
  readonly hasChildren: boolean;
  readonly attributes: readonly number[];
  readonly forms: readonly number[];
  /** Of DW_FORM_implicit_const. */
  readonly constants: readonly number[];
  /** Bytes of each attribute, -1 where that differs from entry to entry. */
  readonly sizes: readonly number[];
  /** Of all attributes together, or -1. */
  readonly size: number;
}

/** By code: compilers number them from 1. */
export type AbbreviationTable = ReadonlyMap<number, Abbreviation>;

/** Bounds what many units with tables of their own can ask for: a program of 500 MB has some 600,000 attributes. */
const MAX_ATTRIBUTES = 1 << 24;
const MAX_SIZE = 1 << 26;
const MAX_KEPT = 64;

/** Parses tables when a unit asks for them; the last few are kept, since units often share theirs. */
export class Abbreviations {
  readonly #section: SectionData;
  readonly #known = new Map<number, AbbreviationTable>();
  #bytes: Buffer | undefined;
  #left = MAX_ATTRIBUTES;

  constructor(section: SectionData) {
    this.#section = section;
  }

  table(offset: number, format: UnitFormat): AbbreviationTable {
    const key = keyOf(offset, format);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    if (this.#known.size >= MAX_KEPT) this.#known.clear();
    const table = this.#parse(this.#at(offset), format);
    this.#known.set(key, table);
    return table;
  }

  /** How long a table is says only its end, so the section is read whole: a few megabytes. */
  #at(offset: number): Cursor {
    const { name, size } = this.#section;
    if (size > MAX_SIZE) throw new Error(`Cannot read ${name}: ${size} bytes, limit ${MAX_SIZE}`);
    this.#bytes ??= this.#section.read(0, size);
    const cursor = new Cursor(this.#bytes, 0, name);
    cursor.skip(offset);
    return cursor;
  }

  #parse(cursor: Cursor, format: UnitFormat): AbbreviationTable {
    const table = new Map<number, Abbreviation>();
    for (let code = cursor.uleb(); code !== 0; code = cursor.uleb()) {
      const abbreviation = readAbbreviation(cursor, format);
      this.#left -= abbreviation.attributes.length + 1;
      if (this.#left <= 0) throw cursor.error(`more than ${MAX_ATTRIBUTES} attributes in all`);
      table.set(code, abbreviation);
    }
    return table;
  }
}

/** One number for the place and everything else that sizes depend on. */
const keyOf = (offset: number, { addressSize, offsetSize, version }: UnitFormat): number =>
  ((offset * 16 + addressSize) * 16 + offsetSize) * 16 + version;

function readAbbreviation(cursor: Cursor, format: UnitFormat): Abbreviation {
  const tag = cursor.uleb();
  const hasChildren = cursor.u8() !== 0;
  const attributes: number[] = [];
  const forms: number[] = [];
  const constants: number[] = [];
  const sizes: number[] = [];
  let size = 0;
  for (;;) {
    const attribute = cursor.uleb();
    const form = cursor.uleb();
    const constant = form === DW_FORM_implicit_const ? cursor.sleb() : 0;
    if (attribute === 0 && form === 0) return { tag, hasChildren, attributes, forms, constants, sizes, size };
    attributes.push(attribute);
    forms.push(form);
    constants.push(constant);
    const own = fixedSize(form, format);
    sizes.push(own);
    size = own < 0 || size < 0 ? -1 : size + own;
  }
}
