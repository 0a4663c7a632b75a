import type { AbbreviationTable } from './abbreviations.ts';
import { Addresses } from './addresses.ts';
import * as C from './constants.ts';
import { type Dwarf, entriesOf, type Range } from './dwarf.ts';
import type { Entries } from './entries.ts';
import { acceptedStrings, type NameSearch, passes } from './name-search.ts';
import { nameOf, stringOf } from './names.ts';
import { OffsetSet, unitsThatName } from './offset-set.ts';
import type { Unit } from './units.ts';

/** Functions by linkage name; by name, where they have no other. */
export type FunctionSearch<T> = NameSearch<T>;

/** Code of a wanted function: its own, or a copy inside another function. */
export interface FunctionCode<T> {
  readonly wanted: T;
  /** Sorted; at least one. */
  readonly ranges: readonly Range[];
  /** The function around the copy; undefined for code of its own. */
  readonly inlinedInto:
    | { readonly name: string | undefined; readonly callLine: number | undefined }
    | undefined;
}

const MAX_FOUND = 1 << 18;
/** Searches for units that refer to what the one before has found. */
const MAX_ROUNDS = 4;
/** Entries between two pauses. */
const BATCH = 1 << 13;

type Pause = () => Promise<void>;

/**
 * All code of the wanted functions. Strings come first: of the units only those are read entry by entry that name one
 * of them, or refer to an entry that does.
 *
 * Not found: names that a linker kept only as the end of a longer string.
 */
export async function findFunctions<T>(
  dwarf: Dwarf,
  search: FunctionSearch<T>,
  pause: Pause,
): Promise<readonly FunctionCode<T>[]> {
  const finder = new Finder(dwarf, search, pause);
  return await finder.run();
}

class Finder<T> {
  readonly #dwarf: Dwarf;
  readonly #search: FunctionSearch<T>;
  readonly #pause: Pause;
  readonly #addresses: Addresses;
  /** By place in `.debug_str`. */
  #strings: ReadonlyMap<number, T> = new Map();
  /** By place of the entry. */
  readonly #named = new Map<number, T>();
  /** Of those, the ones that other units were not searched for yet. */
  #fresh: number[] = [];
  /** Entries by the place of the one that they refer to for their name. */
  readonly #references = new Map<number, number[]>();
  readonly #found: FoundCode<T>[] = [];

  constructor(dwarf: Dwarf, search: FunctionSearch<T>, pause: Pause) {
    this.#dwarf = dwarf;
    this.#search = search;
    this.#pause = pause;
    this.#addresses = new Addresses(dwarf);
  }

  async run(): Promise<readonly FunctionCode<T>[]> {
    const { info, units, str } = this.#dwarf;
    this.#strings = await acceptedStrings(str, this.#search, this.#pause);
    const kinds = kindsOf(this.#dwarf);
    const naming = new Set(
      await unitsThatName(info, units, new OffsetSet(this.#strings.keys()), this.#pause),
    );
    const read = new Set(units.filter((unit, at) => naming.has(unit) || kinds[at]?.namesElsewhere === true));
    for (const unit of read) await this.#collectNames(unit);
    // A copy may refer to an instance in a second unit, and that to a declaration in a third.
    const referring = units.filter((_, index) => kinds[index]?.refersAcross === true);
    for (let round = 0; round < MAX_ROUNDS && this.#fresh.length > 0; round++) {
      const fresh = new OffsetSet(this.#fresh);
      this.#fresh = [];
      for (const unit of await unitsThatName(info, referring, fresh, this.#pause)) {
        if (!read.has(unit)) await this.#collectNames(unit);
        read.add(unit);
      }
    }
    for (const unit of read) await this.#collectCode(unit);
    return this.#found.map(({ host, ...code }) => ({ ...code, inlinedInto: host && this.#host(host) }));
  }

  /** Entries of wanted functions: those with the name, and those that refer to them for it. */
  async #collectNames(unit: Unit): Promise<void> {
    await this.#walk(unit, (entries) => {
      if (entries.tag !== C.DW_TAG_subprogram) return;
      entries.read();
      const wanted = this.#wantedName(entries);
      if (wanted !== undefined) this.#name(entries.offset, wanted);
      else this.#refer(entries.offset, target(entries));
    });
  }

  #refer(offset: number, to: number | undefined): void {
    if (to === undefined) return;
    const wanted = this.#named.get(to);
    const known = this.#references.get(to);
    if (wanted !== undefined) this.#name(offset, wanted);
    else if (known) known.push(offset);
    else this.#references.set(to, [offset]);
  }

  /** And all entries that are known to refer to it. */
  #name(offset: number, wanted: T): void {
    for (const pending = [offset]; pending.length > 0; ) {
      const one = pending.pop() as number;
      if (this.#named.has(one)) continue;
      this.#named.set(one, wanted);
      this.#fresh.push(one);
      pending.push(...(this.#references.get(one) ?? []));
      this.#references.delete(one);
    }
  }

  #wantedName(entries: Entries): T | undefined {
    const attribute = entries.has(C.DW_AT_linkage_name) ? C.DW_AT_linkage_name : C.DW_AT_name;
    const value = entries.value(attribute);
    if (value === undefined) return undefined;
    if (entries.form(attribute) === C.DW_FORM_strp) return this.#strings.get(value);
    const name = stringOf(this.#dwarf, entries, attribute);
    return name !== undefined && passes(this.#search.groups, name) ? this.#search.accept(name) : undefined;
  }

  async #collectCode(unit: Unit): Promise<void> {
    const hosts: Host[] = [];
    await this.#walk(unit, (entries) => {
      const isInlined = entries.tag === C.DW_TAG_inlined_subroutine;
      if (!isInlined && entries.tag !== C.DW_TAG_subprogram) return;
      entries.read();
      while (hosts.length > 0 && (hosts.at(-1)?.depth ?? 0) >= entries.depth) hosts.pop();
      const wanted = this.#named.get(entries.offset) ?? this.#named.get(target(entries) ?? -1);
      if (wanted !== undefined) this.#add(wanted, entries, isInlined ? hosts.at(-1) : undefined, isInlined);
      if (!isInlined) hosts.push({ unit, offset: entries.offset, depth: entries.depth });
    });
  }

  #add(wanted: T, entries: Entries, around: Host | undefined, isInlined: boolean): void {
    const ranges = this.#addresses.rangesOf(entries);
    if (ranges.length === 0) return;
    if (this.#found.length >= MAX_FOUND)
      throw new Error(`Cannot list functions: more than ${MAX_FOUND} places`);
    const callLine = entries.value(C.DW_AT_call_line);
    this.#found.push({ wanted, ranges, host: isInlined ? { around, callLine } : undefined });
  }

  #host({ around, callLine }: Place) {
    return { name: around && nameOf(this.#dwarf, around.unit, around.offset), callLine };
  }

  async #walk(unit: Unit, visit: (entries: Entries) => void): Promise<void> {
    const entries = entriesOf(this.#dwarf, unit);
    for (let count = 1; entries.next(); count++) {
      visit(entries);
      if (count % BATCH === 0) await this.#pause();
    }
  }
}

/** An entry that inlined copies lie in. */
interface Host {
  readonly unit: Unit;
  readonly offset: number;
  readonly depth: number;
}

interface Place {
  readonly around: Host | undefined;
  readonly callLine: number | undefined;
}

interface FoundCode<T> {
  readonly wanted: T;
  readonly ranges: readonly Range[];
  readonly host: Place | undefined;
}

const target = (entries: Entries): number | undefined =>
  entries.value(C.DW_AT_abstract_origin) ?? entries.value(C.DW_AT_specification);

/** What the abbreviations of a unit tell about its functions. */
interface UnitKind {
  /** A function's name may lie elsewhere than in `.debug_str`, or is found by an index. */
  readonly namesElsewhere: boolean;
  /** A function may refer to another unit. */
  readonly refersAcross: boolean;
}

/** Of each unit; most share a table with others. */
function kindsOf({ units, table }: Dwarf): readonly UnitKind[] {
  const known = new Map<AbbreviationTable, UnitKind>();
  return units.map((unit) => {
    const abbreviations = table(unit);
    const kind = known.get(abbreviations) ?? kindOf(abbreviations);
    known.set(abbreviations, kind);
    return kind;
  });
}

function kindOf(table: AbbreviationTable): UnitKind {
  let namesElsewhere = false;
  let refersAcross = false;
  for (const { tag, attributes, forms } of table.values()) {
    if (tag !== C.DW_TAG_subprogram && tag !== C.DW_TAG_inlined_subroutine) continue;
    for (let index = 0; index < attributes.length; index++) {
      const isName = NAMES.has(attributes[index] as number);
      namesElsewhere ||= isName && forms[index] !== C.DW_FORM_strp;
      refersAcross ||= forms[index] === C.DW_FORM_ref_addr;
    }
  }
  return { namesElsewhere, refersAcross };
}

const NAMES: ReadonlySet<number> = new Set([C.DW_AT_name, C.DW_AT_linkage_name, C.DW_AT_MIPS_linkage_name]);
