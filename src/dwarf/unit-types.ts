import * as C from './constants.ts';
import { type Dwarf, entriesOf } from './dwarf.ts';
import type { Entries } from './entries.ts';
import { type StringPlace, textOf } from './names.ts';
import type { Unit } from './units.ts';

/** A member of a struct or union, or of one of an enum's variants. */
export interface Member {
  readonly name: StringPlace | undefined;
  /** Bytes from the start of the type around it. */
  readonly offset: number;
  /** Its type's entry. */
  readonly type: number;
  /** Tells which variant an enum is. */
  readonly isTag: boolean;
}

/** A type, or a module that types are in. */
export interface TypeEntry {
  readonly offset: number;
  readonly tag: number;
  readonly name: StringPlace | undefined;
  /** The entry around it. */
  readonly scope: TypeEntry | undefined;
  /** Bytes; undefined for a module and a declaration. */
  readonly size: number | undefined;
  /** What a typedef stands for. */
  readonly target: number | undefined;
  /** Of an enum its tag first, then those of all variants. */
  readonly members: Member[];
}

/** Types of one unit, by their places. */
export type UnitTypes = ReadonlyMap<number, TypeEntry>;

const KEPT: ReadonlySet<number> = new Set([
  C.DW_TAG_namespace,
  C.DW_TAG_structure_type,
  C.DW_TAG_union_type,
  C.DW_TAG_enumeration_type,
  C.DW_TAG_base_type,
  C.DW_TAG_pointer_type,
  C.DW_TAG_typedef,
]);

/** Entries between two pauses. */
const BATCH = 1 << 13;

/** Reads all types of a unit; names stay places until they are asked for. */
export async function readUnitTypes(
  dwarf: Dwarf,
  unit: Unit,
  pause: () => Promise<void>,
): Promise<UnitTypes> {
  const types = new Map<number, TypeEntry>();
  const around: Around[] = [];
  const entries = entriesOf(dwarf, unit);
  for (let count = 1; entries.next(); count++) {
    while (around.length > 0 && (around.at(-1)?.depth ?? 0) >= entries.depth) around.pop();
    visit(entries, around, types);
    if (count % BATCH === 0) await pause();
  }
  return types;
}

/** What the entry that is being read lies in. */
interface Around {
  readonly depth: number;
  readonly type: TypeEntry;
  /** The place of the tag of an enum's variants. */
  readonly tag: number | undefined;
}

function visit(entries: Entries, around: Around[], types: Map<number, TypeEntry>): void {
  const parent = around.at(-1);
  if (KEPT.has(entries.tag)) {
    entries.read();
    const type = typeOf(entries, parent?.type);
    types.set(type.offset, type);
    around.push({ depth: entries.depth, type, tag: undefined });
  } else if (parent && (entries.tag === C.DW_TAG_variant_part || entries.tag === C.DW_TAG_variant)) {
    entries.read();
    around.push({ depth: entries.depth, type: parent.type, tag: entries.value(C.DW_AT_discr) });
  } else if (parent && entries.tag === C.DW_TAG_member) {
    entries.read();
    addMember(entries, parent);
  }
}

const typeOf = (entries: Entries, scope: TypeEntry | undefined): TypeEntry => ({
  offset: entries.offset,
  tag: entries.tag,
  name: placeOf(entries),
  scope,
  size: entries.tag === C.DW_TAG_pointer_type ? 8 : entries.value(C.DW_AT_byte_size),
  target: entries.tag === C.DW_TAG_typedef ? entries.value(C.DW_AT_type) : undefined,
  members: [],
});

function addMember(entries: Entries, { type, tag }: Around): void {
  const offset = entries.value(C.DW_AT_data_member_location);
  const target = entries.value(C.DW_AT_type);
  if (offset === undefined || target === undefined) return;
  type.members.push({ name: placeOf(entries), offset, type: target, isTag: tag === entries.offset });
}

const placeOf = (entries: Entries): StringPlace | undefined => {
  const value = entries.value(C.DW_AT_name);
  return value === undefined ? undefined : { unit: entries.unit, form: entries.form(C.DW_AT_name), value };
};

/** Asked again and again for the same types. */
const NAMES = new WeakMap<TypeEntry, string>();

/** With the modules around it: `tokio::runtime::context::Context`. Undefined where one of them has no name. */
export function fullName(dwarf: Dwarf, type: TypeEntry): string | undefined {
  const known = NAMES.get(type);
  if (known !== undefined) return known;
  const own = type.name && textOf(dwarf, type.name);
  const scope = type.scope && own !== undefined ? fullName(dwarf, type.scope) : '';
  if (own === undefined || scope === undefined) return undefined;
  const name = scope === '' ? own : `${scope}::${own}`;
  NAMES.set(type, name);
  return name;
}
