import * as C from './constants.ts';
import { Cursor } from './cursor.ts';
import type { UnitFormat } from './forms.ts';
import type { SectionData } from './section-data.ts';

/** The header of one unit of `.debug_info`. Offsets count from the start of the section. */
export interface Unit extends UnitFormat {
  readonly offset: number;
  /** Behind its last byte. */
  readonly end: number;
  /** Its first entry. */
  readonly entries: number;
  readonly abbreviations: number;
}

export interface Units {
  /** In order. */
  readonly units: readonly Unit[];
  /** Units that are not read, and why: `2 units of DWARF 3`. */
  readonly skipped: ReadonlyMap<string, number>;
}

/** Longest header: 64-bit DWARF, a skeleton or type unit. */
const MAX_HEADER = 40;
const WINDOW = 1 << 16;
/** A program of 500 MB has some 20,000. */
const MAX_UNITS = 1 << 17;
/** Of DW_FORM lengths: the next eight bytes are the length. */
const LONG = 0xffff_ffff;

/** All units, by their headers alone. */
export function readUnits(info: SectionData): Units {
  const units: Unit[] = [];
  const skipped = new Map<string, number>();
  const headers = new HeaderReader(info);
  for (let offset = 0; offset < info.size; ) {
    const header = readHeader(headers.at(offset), offset);
    if (header.unit.end > info.size || header.unit.end <= offset)
      throw new Error(
        `Cannot read the unit at 0x${offset.toString(16)}: it ends at 0x${header.unit.end.toString(16)}`,
      );
    if (units.length >= MAX_UNITS) throw new Error(`Cannot read .debug_info: more than ${MAX_UNITS} units`);
    const reason = whySkipped(header);
    if (reason === undefined) units.push(header.unit);
    else skipped.set(reason, (skipped.get(reason) ?? 0) + 1);
    offset = header.unit.end;
  }
  return { units, skipped };
}

/** Small units lie side by side: one read for many headers. */
class HeaderReader {
  readonly #info: SectionData;
  #window: Buffer = Buffer.alloc(0);
  #start = 0;

  constructor(info: SectionData) {
    this.#info = info;
  }

  at(offset: number): Cursor {
    const wanted = Math.min(MAX_HEADER, this.#info.size - offset);
    if (offset < this.#start || offset + wanted > this.#start + this.#window.length) {
      this.#window = this.#info.read(offset, Math.min(WINDOW, this.#info.size - offset));
      this.#start = offset;
    }
    const bytes = this.#window.subarray(offset - this.#start, offset - this.#start + wanted);
    return new Cursor(bytes, offset, 'unit header');
  }
}

interface Header {
  readonly unit: Unit;
  readonly type: number;
}

function readHeader(cursor: Cursor, offset: number): Header {
  const short = cursor.u32();
  const offsetSize = short === LONG ? 8 : 4;
  const length = short === LONG ? cursor.u64() : short;
  const end = offset + cursor.at + length;
  const version = cursor.u16();
  if (version < 5) {
    const abbreviations = version < 2 ? 0 : cursor.sized(offsetSize);
    const addressSize = version < 2 ? 0 : cursor.u8();
    const unit = {
      offset,
      end,
      entries: offset + cursor.at,
      version,
      addressSize,
      offsetSize,
      abbreviations,
    };
    return { unit, type: C.DW_UT_compile };
  }
  const type = cursor.u8();
  const addressSize = cursor.u8();
  const abbreviations = cursor.sized(offsetSize);
  if (type === C.DW_UT_skeleton || type === C.DW_UT_split_compile) cursor.skip(8);
  if (type === C.DW_UT_type || type === C.DW_UT_split_type) cursor.skip(8 + offsetSize);
  const unit = { offset, end, entries: offset + cursor.at, version, addressSize, offsetSize, abbreviations };
  return { unit, type };
}

function whySkipped({ unit, type }: Header): string | undefined {
  if (unit.version !== 4 && unit.version !== 5) return `DWARF ${unit.version}`;
  if (type === C.DW_UT_skeleton || type === C.DW_UT_split_compile || type === C.DW_UT_split_type)
    return 'split DWARF';
  if (unit.entries >= unit.end) return 'without entries';
  if (unit.addressSize !== 8) return `addresses of ${unit.addressSize} bytes`;
  return undefined;
}

/** The unit that holds the offset. */
export function unitAt(units: readonly Unit[], offset: number): Unit | undefined {
  let low = 0;
  let high = units.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((units[middle]?.offset ?? 0) <= offset) low = middle + 1;
    else high = middle;
  }
  const unit = units[low - 1];
  return unit !== undefined && offset < unit.end ? unit : undefined;
}
