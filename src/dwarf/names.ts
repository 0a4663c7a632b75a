import * as C from './constants.ts';
import { Cursor } from './cursor.ts';
import { type Dwarf, entryAt } from './dwarf.ts';
import type { Entries } from './entries.ts';
import { isStringIndex } from './forms.ts';
import type { SectionData } from './section-data.ts';
import { type Unit, unitAt } from './units.ts';

/** Longer names exist only in hostile files. */
const MAX_NAME = 1 << 16;
/** From a concrete instance to its abstract one, from there to the declaration. */
const MAX_STEPS = 4;

/** The linkage name of an entry, else its name, looked for in what it is an instance or the definition of, too. */
export function nameOf(dwarf: Dwarf, unit: Unit, offset: number): string | undefined {
  let [inUnit, at]: [Unit | undefined, number] = [unit, offset];
  let plain: string | undefined;
  for (let step = 0; step < MAX_STEPS && inUnit !== undefined; step++) {
    const entry = entryAt(dwarf, inUnit, at);
    if (entry === undefined) break;
    const linkage = stringOf(dwarf, entry, C.DW_AT_linkage_name);
    if (linkage !== undefined) return linkage;
    plain ??= stringOf(dwarf, entry, C.DW_AT_name);
    const next = entry.value(C.DW_AT_abstract_origin) ?? entry.value(C.DW_AT_specification);
    if (next === undefined) break;
    [inUnit, at] = [unitAt(dwarf.units, next), next];
  }
  return plain;
}

/** A string that was not read yet: what its form and value in a unit stand for. */
export interface StringPlace {
  readonly unit: Unit;
  readonly form: number;
  readonly value: number;
}

/** A string attribute of an entry that was read. */
export function stringOf(dwarf: Dwarf, entries: Entries, attribute: number): string | undefined {
  const value = entries.value(attribute);
  if (value === undefined) return undefined;
  return textOf(dwarf, { unit: entries.unit, form: entries.form(attribute), value });
}

export function textOf(dwarf: Dwarf, { unit, form, value }: StringPlace): string | undefined {
  if (form === C.DW_FORM_string) return textAt(dwarf.info, value);
  if (form === C.DW_FORM_line_strp) return textAt(dwarf.lineStr, value);
  if (form === C.DW_FORM_strp) return textAt(dwarf.str, value);
  return isStringIndex(form) ? textAt(dwarf.str, indexedString(dwarf, unit, value)) : undefined;
}

/** The place in `.debug_str` that an index stands for. */
export function indexedString(dwarf: Dwarf, unit: Unit, index: number): number {
  const at = dwarf.bases(unit).strings + index * unit.offsetSize;
  const { strOffsets } = dwarf;
  return new Cursor(strOffsets.read(at, unit.offsetSize), at, strOffsets.name).sized(unit.offsetSize);
}

/** One character a byte; undefined outside the section. */
function textAt(section: SectionData, offset: number): string | undefined {
  if (offset >= section.size) return undefined;
  const block = blockAt(section, offset);
  const start = offset % BLOCK;
  const end = block.indexOf(0, start);
  return end >= 0 ? block.toString('latin1', start, end) : longText(section, offset);
}

const BLOCK = 1 << 14;
const MAX_BLOCKS = 256;
const BLOCKS = new WeakMap<SectionData, Map<number, Buffer>>();

/** Names lie in a few places that are asked for again and again. */
function blockAt(section: SectionData, offset: number): Buffer {
  const blocks = BLOCKS.get(section) ?? new Map<number, Buffer>();
  BLOCKS.set(section, blocks);
  const index = Math.floor(offset / BLOCK);
  const known = blocks.get(index);
  if (known) return known;
  if (blocks.size >= MAX_BLOCKS) blocks.clear();
  const block = section.read(index * BLOCK, Math.min(BLOCK, section.size - index * BLOCK));
  blocks.set(index, block);
  return block;
}

function longText(section: SectionData, offset: number): string | undefined {
  const bytes = section.read(offset, Math.min(MAX_NAME, section.size - offset));
  const end = bytes.indexOf(0);
  return end < 0 ? undefined : bytes.toString('latin1', 0, end);
}
