import type { Dwarf } from './dwarf.ts';
import { textOf } from './names.ts';
import type { FoundType } from './types.ts';
import { fullName, readUnitTypes, type TypeEntry, type UnitTypes } from './unit-types.ts';
import { type Unit, unitAt } from './units.ts';

type Pause = () => Promise<void>;

/** A type's part: where it is and what it is. Bytes. */
export interface Part {
  readonly offset: number;
  readonly type: TypeEntry;
}

/** Parts inside parts that are looked through for a type, and how many in one program. */
const MAX_DEPTH = 8;
const MAX_PARTS = 1 << 17;

/**
 * Follows a path of members: `name`; `@0` for the first field of a tuple; `#` for an enum's tag; `~a::T` for the first part,
 * at any depth, whose type is `a::T`; `?name` is passed over where there is no such member.
 */
export class PartFinder {
  readonly #dwarf: Dwarf;
  readonly #pause: Pause;
  readonly #units = new Map<Unit, UnitTypes>();
  #left = MAX_PARTS;

  constructor(dwarf: Dwarf, pause: Pause) {
    this.#dwarf = dwarf;
    this.#pause = pause;
  }

  async follow(found: FoundType, path: readonly string[]): Promise<Part | undefined> {
    let part: Part = { offset: 0, type: found.type };
    for (const element of path) {
      const next = await this.#step(part.type, found.types, element);
      if (next) part = { offset: part.offset + next.offset, type: next.type };
      else if (!element.startsWith('?')) return undefined;
    }
    return part;
  }

  async #step(type: TypeEntry, types: UnitTypes, element: string): Promise<Part | undefined> {
    if (element.startsWith('~')) return await this.#inside(type, types, element.slice(1), 0);
    const wanted = element.startsWith('@') ? `__${element.slice(1)}` : element.replace(/^\?/, '');
    for (const { name, offset, type: target, isTag } of type.members) {
      const own = isTag ? '#' : name && textOf(this.#dwarf, name);
      const inner = own === wanted ? await this.#typeAt(target, types) : undefined;
      if (inner) return { offset, type: inner };
    }
    return undefined;
  }

  async #inside(type: TypeEntry, types: UnitTypes, name: string, depth: number): Promise<Part | undefined> {
    if (fullName(this.#dwarf, type) === name) return { offset: 0, type };
    if (depth >= MAX_DEPTH || --this.#left < 0) return undefined;
    for (const member of type.members) {
      const inner = await this.#typeAt(member.type, types);
      const found = inner && (await this.#inside(inner, types, name, depth + 1));
      if (found) return { offset: member.offset + found.offset, type: found.type };
    }
    return undefined;
  }

  /** What a typedef stands for in its place. */
  async #typeAt(offset: number, types: UnitTypes): Promise<TypeEntry | undefined> {
    let type = types.get(offset) ?? (await this.#elsewhere(offset));
    for (let step = 0; type?.target !== undefined && step < MAX_DEPTH; step++)
      type = types.get(type.target) ?? (await this.#elsewhere(type.target));
    return type;
  }

  async #elsewhere(offset: number): Promise<TypeEntry | undefined> {
    const unit = unitAt(this.#dwarf.units, offset);
    if (!unit) return undefined;
    const types = this.#units.get(unit) ?? (await readUnitTypes(this.#dwarf, unit, this.#pause));
    this.#units.set(unit, types);
    return types.get(offset);
  }
}
