import * as C from './constants.ts';
import type { Cursor } from './cursor.ts';

/** What the size of an attribute depends on beside its form. */
export interface UnitFormat {
  readonly version: number;
  readonly addressSize: number;
  /** 4, or 8 in 64-bit DWARF. */
  readonly offsetSize: number;
}

const SIZES: Readonly<Record<number, number>> = {
  [C.DW_FORM_data1]: 1,
  [C.DW_FORM_data2]: 2,
  [C.DW_FORM_data4]: 4,
  [C.DW_FORM_data8]: 8,
  [C.DW_FORM_data16]: 16,
  [C.DW_FORM_flag]: 1,
  [C.DW_FORM_flag_present]: 0,
  [C.DW_FORM_implicit_const]: 0,
  [C.DW_FORM_ref1]: 1,
  [C.DW_FORM_ref2]: 2,
  [C.DW_FORM_ref4]: 4,
  [C.DW_FORM_ref8]: 8,
  [C.DW_FORM_ref_sig8]: 8,
  [C.DW_FORM_ref_sup4]: 4,
  [C.DW_FORM_ref_sup8]: 8,
  [C.DW_FORM_strx1]: 1,
  [C.DW_FORM_strx2]: 2,
  [C.DW_FORM_strx3]: 3,
  [C.DW_FORM_strx4]: 4,
  [C.DW_FORM_addrx1]: 1,
  [C.DW_FORM_addrx2]: 2,
  [C.DW_FORM_addrx3]: 3,
  [C.DW_FORM_addrx4]: 4,
};

const OFFSETS: ReadonlySet<number> = new Set([
  C.DW_FORM_strp,
  C.DW_FORM_sec_offset,
  C.DW_FORM_strp_sup,
  C.DW_FORM_line_strp,
  C.DW_FORM_GNU_ref_alt,
  C.DW_FORM_GNU_strp_alt,
]);

const LEB128: ReadonlySet<number> = new Set([
  C.DW_FORM_sdata,
  C.DW_FORM_udata,
  C.DW_FORM_ref_udata,
  C.DW_FORM_strx,
  C.DW_FORM_addrx,
  C.DW_FORM_loclistx,
  C.DW_FORM_rnglistx,
  C.DW_FORM_GNU_addr_index,
  C.DW_FORM_GNU_str_index,
]);

/** Bytes of any attribute of that form, or -1 where they differ. */
export function fixedSize(form: number, { version, addressSize, offsetSize }: UnitFormat): number {
  if (form === C.DW_FORM_addr) return addressSize;
  if (form === C.DW_FORM_ref_addr) return version < 3 ? addressSize : offsetSize;
  if (OFFSETS.has(form)) return offsetSize;
  return SIZES[form] ?? -1;
}

/** Moves behind an attribute whatever it is; throws for a form that isn't known, behind which nothing can be read. */
export function skipForm(cursor: Cursor, form: number, format: UnitFormat): void {
  const size = fixedSize(form, format);
  if (size >= 0) cursor.skip(size);
  else if (LEB128.has(form)) cursor.skipLeb();
  else if (form === C.DW_FORM_string) cursor.skipString();
  else if (form === C.DW_FORM_exprloc || form === C.DW_FORM_block) cursor.skip(cursor.uleb());
  else if (form === C.DW_FORM_block1) cursor.skip(cursor.u8());
  else if (form === C.DW_FORM_block2) cursor.skip(cursor.u16());
  else if (form === C.DW_FORM_block4) cursor.skip(cursor.u32());
  else if (form === C.DW_FORM_indirect) skipForm(cursor, directForm(cursor), format);
  else throw cursor.error(`attribute of the unknown form 0x${form.toString(16)}`);
}

/** The form that stands in front of the value; never another DW_FORM_indirect. */
function directForm(cursor: Cursor): number {
  const form = cursor.uleb();
  if (form === C.DW_FORM_indirect) throw cursor.error('DW_FORM_indirect twice');
  return form;
}

/** A constant, address, offset or index of `size` bytes (-1: that differs). `undefined` for all else, which is skipped. */
export function readNumber(
  cursor: Cursor,
  form: number,
  size: number,
  constant: number,
  format: UnitFormat,
): number | undefined {
  if (size === 4) return cursor.u32();
  if (size === 8 && form !== C.DW_FORM_ref_sig8) return cursor.u64();
  if (size === 1) return cursor.u8();
  if (size === 2) return cursor.u16();
  if (size === 3) return cursor.u24();
  if (form === C.DW_FORM_implicit_const) return constant;
  if (form === C.DW_FORM_flag_present) return 1;
  if (form === C.DW_FORM_sdata) return cursor.sleb();
  if (LEB128.has(form)) return cursor.uleb();
  skipForm(cursor, form, format);
  return undefined;
}

/** Counted from the unit's first byte; DW_FORM_ref_addr counts from the section's. */
export const isUnitReference = (form: number): boolean =>
  form >= C.DW_FORM_ref1 && form <= C.DW_FORM_ref_udata;

export const isStringIndex = (form: number): boolean =>
  form === C.DW_FORM_strx ||
  form === C.DW_FORM_GNU_str_index ||
  (form >= C.DW_FORM_strx1 && form <= C.DW_FORM_strx4);

export const isAddressIndex = (form: number): boolean =>
  form === C.DW_FORM_addrx ||
  form === C.DW_FORM_GNU_addr_index ||
  (form >= C.DW_FORM_addrx1 && form <= C.DW_FORM_addrx4);
