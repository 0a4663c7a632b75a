import type { AbbreviationTable } from './abbreviations.ts';
import * as C from './constants.ts';
import type { Dwarf } from './dwarf.ts';
import { type StringPlace, textOf } from './names.ts';
import { OffsetSet, unitsThatName } from './offset-set.ts';
import { pathOf, placesOf } from './type-names.ts';
import { fullName, readUnitTypes, type TypeEntry, type UnitTypes } from './unit-types.ts';
import type { Unit } from './units.ts';

type Pause = () => Promise<void>;

/** A type and all of its unit, which its members' types are in. */
export interface FoundType {
  readonly type: TypeEntry;
  readonly types: UnitTypes;
}

/**
 * The first type of each name, with its modules (`http::request::Parts`), that is more than a declaration. Of two versions
 * of a crate in one program, whose names are the same, it is any.
 */
export async function findTypes(
  dwarf: Dwarf,
  names: readonly string[],
  pause: Pause,
): Promise<ReadonlyMap<string, FoundType>> {
  const strings = await placesOf(dwarf.str, new Set(names.flatMap(pathOf)), pause);
  const pending: Pending = new Map(names.map((name) => [name, wantedBy(name, strings)]));
  const places = new OffsetSet([...pending.values()].flatMap((wanted) => wanted?.needed ?? []));
  const found = new Map<string, FoundType>();
  for (const { unit, isIndexed } of await candidates(dwarf, pending, pause)) {
    if (pending.size === 0) break;
    const here = isIndexed ? new Set(pending.keys()) : namesIn(dwarf, unit, pending, places);
    if (here.size === 0) continue;
    const types = await readUnitTypes(dwarf, unit, pause);
    for (const [name, type] of typesNamed(dwarf, types, here, pending)) {
      found.set(name, { type, types });
      pending.delete(name);
    }
  }
  return found;
}

type Pending = Map<string, Wanted>;

interface Candidate {
  readonly unit: Unit;
  /** Its names are elsewhere than in `.debug_str`, or found by an index: only reading it tells which it has. */
  readonly isIndexed: boolean;
}

/** Units that may have one of the types, in order. */
async function candidates(dwarf: Dwarf, pending: Pending, pause: Pause): Promise<readonly Candidate[]> {
  const lasts = new OffsetSet([...pending.values()].flatMap((wanted) => wanted?.last ?? []));
  const naming = new Set(await unitsThatName(dwarf.info, dwarf.units, lasts, pause));
  const known = new Map<AbbreviationTable, boolean>();
  return dwarf.units.flatMap((unit) => {
    const table = dwarf.table(unit);
    const isIndexed = known.get(table) ?? hasOtherNames(table);
    known.set(table, isIndexed);
    return isIndexed || naming.has(unit) ? [{ unit, isIndexed }] : [];
  });
}

/** Places of the strings of a name's path in `.debug_str`; undefined when one isn't there. */
type Wanted = { readonly needed: readonly number[]; readonly last: number } | undefined;

function wantedBy(name: string, strings: ReadonlyMap<string, number>): Wanted {
  const needed = pathOf(name).flatMap((text) => strings.get(text) ?? []);
  const last = needed.at(-1);
  return needed.length === pathOf(name).length && last !== undefined ? { needed, last } : undefined;
}

const NAMED: ReadonlySet<number> = new Set([
  C.DW_TAG_namespace,
  C.DW_TAG_structure_type,
  C.DW_TAG_union_type,
]);

/** Whether names of types or modules are elsewhere than in `.debug_str`, or found by an index. */
function hasOtherNames(table: AbbreviationTable): boolean {
  for (const { tag, attributes, forms } of table.values())
    if (
      NAMED.has(tag) &&
      forms.some((form, at) => attributes[at] === C.DW_AT_name && form !== C.DW_FORM_strp)
    )
      return true;
  return false;
}

/** Names all of whose strings the unit refers to. */
function namesIn({ info }: Dwarf, unit: Unit, pending: Pending, places: OffsetSet): ReadonlySet<string> {
  const bytes = info.read(unit.offset, unit.end - unit.offset);
  const seen = new Set<number>();
  for (let at = places.find(bytes, 0); at >= 0; at = places.find(bytes, at + 1))
    seen.add(bytes.readUInt32LE(at));
  const isHere = (wanted: Wanted) => wanted?.needed.every((one) => seen.has(one)) ?? false;
  return new Set([...pending].filter(([, wanted]) => isHere(wanted)).map(([name]) => name));
}

function typesNamed(
  dwarf: Dwarf,
  types: UnitTypes,
  names: ReadonlySet<string>,
  pending: Pending,
): ReadonlyMap<string, TypeEntry> {
  const texts = new Set([...names].map((name) => pathOf(name).at(-1)));
  const places = new Set([...names].map((name) => pending.get(name)?.last));
  // Most names need not be read: they are not at the place of a wanted one.
  const isLast = (name: StringPlace) =>
    name.form === C.DW_FORM_strp ? places.has(name.value) : texts.has(textOf(dwarf, name));
  const found = new Map<string, TypeEntry>();
  for (const type of types.values()) {
    if (type.size === undefined || !type.name || !isLast(type.name)) continue;
    const name = fullName(dwarf, type);
    if (name !== undefined && names.has(name) && !found.has(name)) found.set(name, type);
  }
  return found;
}
