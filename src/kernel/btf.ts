import { hex } from '../base/reader.ts';

/** Kinds as in include/uapi/linux/btf.h. */
export const BTF_KIND = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;

const MAGIC = 0xeb9f;
const HEADER_MIN = 24;
/** Words in front of a type's kind-specific data: name, info, size or type. */
const COMMON_WORDS = 3;
/** How deep typedefs, qualifiers and arrays may nest: more is a cycle in a damaged file. */
const MAX_DEPTH = 64;

/** Words behind the common three: [fixed, per vlen]. Undefined: an unknown kind. */
const EXTRA_WORDS: readonly (readonly [number, number] | undefined)[] = [
  undefined, // void is never written
  [1, 0], // INT
  [0, 0], // PTR
  [3, 0], // ARRAY
  [0, 3], // STRUCT
  [0, 3], // UNION
  [0, 2], // ENUM
  [0, 0], // FWD
  [0, 0], // TYPEDEF
  [0, 0], // VOLATILE
  [0, 0], // CONST
  [0, 0], // RESTRICT
  [0, 0], // FUNC
  [0, 2], // FUNC_PROTO
  [1, 0], // VAR
  [0, 3], // DATASEC
  [0, 0], // FLOAT
  [1, 0], // DECL_TAG
  [0, 0], // TYPE_TAG
  [0, 3], // ENUM64
];

/**
 * Types of a .BTF section, https://docs.kernel.org/bpf/btf.html. A running kernel has 150,000 of them, so
 * nothing is built per type but its position; callers ask for single words by type id. Id 0 is void.
 */
export class Btf {
  /** For messages: whose types these are. */
  readonly origin: string;
  /** Number of ids, void included. */
  readonly count: number;
  readonly strings: Buffer;
  readonly #words: Uint32Array;
  /** Word position of each type by id. */
  readonly #positions: Uint32Array;
  #firstByName: Int32Array | undefined;
  /** A search through 1.5 MB of names takes 1 ms, and relocations ask for few names again and again. */
  readonly #idsByName = new Map<string, readonly number[]>();
  #nextByName: Int32Array | undefined;

  constructor(bytes: Uint8Array, origin: string) {
    const header = readHeader(bytes, origin);
    this.origin = origin;
    this.strings = Buffer.from(bytes.buffer, bytes.byteOffset + header.stringStart, header.stringSize);
    this.#words = wordsOf(bytes, header.typeStart, header.typeSize);
    this.#positions = indexTypes(this.#words, origin);
    this.count = this.#positions.length;
  }

  /** 0 (void) for id 0. */
  kind(id: number): number {
    return id === 0 ? 0 : (this.#word(id, 1) >>> 24) & 0x1f;
  }

  /** Members, values, parameters or variables of the type. */
  length(id: number): number {
    return id === 0 ? 0 : this.#word(id, 1) & 0xffff;
  }

  /** Struct and union: members carry bit sizes. Enum: signed. FWD: union. */
  flag(id: number): boolean {
    return id !== 0 && this.#word(id, 1) >>> 31 === 1;
  }

  name(id: number): string {
    return id === 0 ? 'void' : this.string(this.#word(id, 0));
  }

  /** Bytes; only for kinds that state a size. */
  size(id: number): number {
    return this.#word(id, 2);
  }

  /** The type that a pointer, typedef, qualifier, function, or variable refers to. */
  target(id: number): number {
    return this.#word(id, 2);
  }

  /** Word `index` behind the common three; the caller knows the kind's layout. */
  extra(id: number, index: number): number {
    const limit = extraWords(this.#word(id, 1));
    if (index < 0 || index >= limit) throw this.error(id, `word ${index} is outside ${limit}`);
    return this.#word(id, COMMON_WORDS + index);
  }

  /** All words of the type as written. */
  raw(id: number): Uint32Array {
    const position = this.#positions[id] ?? 0;
    return this.#words.subarray(position, position + COMMON_WORDS + extraWords(this.#word(id, 1)));
  }

  string(offset: number): string {
    const end = offset < this.strings.length ? this.strings.indexOf(0, offset) : -1;
    if (end < 0)
      throw new Error(
        `Cannot read a BTF name of ${this.origin} at ${hex(offset)}: outside ${this.strings.length} bytes`,
      );
    return this.strings.toString('latin1', offset, end);
  }

  /** All ids of types with exactly this name. */
  idsByName(name: string): readonly number[] {
    const known = this.#idsByName.get(name);
    if (known) return known;
    const ids = this.#findByName(name);
    this.#idsByName.set(name, ids);
    return ids;
  }

  #findByName(name: string): readonly number[] {
    const ids: number[] = [];
    const wanted = Buffer.from(`\0${name}\0`, 'latin1');
    let at = this.strings.indexOf(wanted);
    for (; at >= 0; at = this.strings.indexOf(wanted, at + 1)) this.#collect(at + 1, ids);
    return ids.sort((a, b) => a - b);
  }

  find(kind: number, name: string): number | undefined {
    return this.idsByName(name).find((id) => this.kind(id) === kind);
  }

  error(id: number, found: string): Error {
    return new Error(`Cannot read BTF type ${id} of ${this.origin}: ${found}`);
  }

  #word(id: number, index: number): number {
    const position = this.#positions[id];
    if (position === undefined || id === 0) throw this.error(id, `there are ${this.count} types`);
    return this.#words[position + index] ?? 0;
  }

  #collect(nameOffset: number, ids: number[]): void {
    if (!this.#firstByName || !this.#nextByName) this.#indexNames();
    const next = this.#nextByName;
    for (let id = this.#firstByName?.[nameOffset] ?? 0; id !== 0; id = next?.[id] ?? 0) ids.push(id);
  }

  /** Chains of ids by name offset, built at the first question: without them each lookup scans all types. */
  #indexNames(): void {
    const first = new Int32Array(this.strings.length);
    const next = new Int32Array(this.count);
    const words = this.#words;
    const positions = this.#positions;
    for (let id = 1; id < positions.length; id += 1) {
      const offset = words[positions[id] ?? 0] ?? 0;
      if (offset >= first.length) continue; // a damaged name; reading it says so
      next[id] = first[offset] ?? 0;
      first[offset] = id;
    }
    this.#firstByName = first;
    this.#nextByName = next;
  }
}

interface Header {
  readonly typeStart: number;
  readonly typeSize: number;
  readonly stringStart: number;
  readonly stringSize: number;
}

function readHeader(bytes: Uint8Array, origin: string): Header {
  const fail = (found: string) => new Error(`Cannot read BTF of ${origin}: ${found}`);
  if (bytes.length < HEADER_MIN) throw fail(`${bytes.length} bytes, the header takes ${HEADER_MIN}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint16(0, true);
  if (magic !== MAGIC) throw fail(`magic ${hex(magic)}, expected ${hex(MAGIC)}`);
  if (view.getUint8(2) !== 1) throw fail(`version ${view.getUint8(2)}, expected 1`);
  const headerSize = view.getUint32(4, true);
  const typeStart = headerSize + view.getUint32(8, true);
  const typeSize = view.getUint32(12, true);
  const stringStart = headerSize + view.getUint32(16, true);
  const stringSize = view.getUint32(20, true);
  if (headerSize < HEADER_MIN || typeSize % 4 !== 0)
    throw fail(`header of ${headerSize}, types of ${typeSize} bytes`);
  const end = Math.max(typeStart + typeSize, stringStart + stringSize);
  if (end > bytes.length) throw fail(`sections end at ${end}, there are ${bytes.length} bytes`);
  if (stringSize === 0 || bytes[stringStart] !== 0)
    throw fail('the string section does not begin with an empty name');
  return { typeStart, typeSize, stringStart, stringSize };
}

function wordsOf(bytes: Uint8Array, start: number, size: number): Uint32Array {
  const from = bytes.byteOffset + start;
  if (from % 4 === 0) return new Uint32Array(bytes.buffer, from, size / 4);
  return new Uint32Array(bytes.slice(start, start + size).buffer);
}

function extraWords(info: number): number {
  const shape = EXTRA_WORDS[(info >>> 24) & 0x1f];
  return shape ? shape[0] + shape[1] * (info & 0xffff) : -1;
}

function indexTypes(words: Uint32Array, origin: string): Uint32Array {
  const positions = new Uint32Array(Math.floor(words.length / COMMON_WORDS) + 1);
  let count = 1;
  for (let at = 0; at < words.length; count += 1) {
    const extra = extraWords(words[at + 1] ?? 0);
    const end = at + COMMON_WORDS + extra;
    if (extra < 0 || end > words.length) {
      const found =
        extra < 0 ? `unknown kind in ${hex(words[at + 1] ?? 0)}` : `it ends ${end - words.length} words late`;
      throw new Error(`Cannot read BTF type ${count} of ${origin}: ${found}`);
    }
    positions[count] = at;
    at = end;
  }
  return positions.subarray(0, count);
}

const isModifier = (kind: number): boolean =>
  kind === BTF_KIND.TYPEDEF ||
  kind === BTF_KIND.VOLATILE ||
  kind === BTF_KIND.CONST ||
  kind === BTF_KIND.RESTRICT ||
  kind === BTF_KIND.TYPE_TAG;

/** The type behind typedefs and qualifiers. */
export function strip(btf: Btf, id: number): number {
  let at = id;
  for (let depth = 0; isModifier(btf.kind(at)); depth += 1) {
    if (depth > MAX_DEPTH) throw btf.error(id, `more than ${MAX_DEPTH} typedefs and qualifiers`);
    at = btf.target(at);
  }
  return at;
}

export interface ArrayType {
  readonly element: number;
  readonly count: number;
}

/** Of a type of kind ARRAY. */
export function arrayOf(btf: Btf, id: number): ArrayType {
  return { element: btf.extra(id, 0), count: btf.extra(id, 2) };
}

/** sizeof in bytes. */
export function sizeOf(btf: Btf, id: number): number {
  let elements = 1;
  let at = strip(btf, id);
  for (let depth = 0; btf.kind(at) === BTF_KIND.ARRAY; depth += 1) {
    if (depth > MAX_DEPTH) throw btf.error(id, `arrays nest deeper than ${MAX_DEPTH}`);
    const array = arrayOf(btf, at);
    elements *= array.count;
    at = strip(btf, array.element);
  }
  return elements * scalarSize(btf, at);
}

function scalarSize(btf: Btf, id: number): number {
  switch (btf.kind(id)) {
    case BTF_KIND.PTR:
      return 8;
    case BTF_KIND.INT:
    case BTF_KIND.STRUCT:
    case BTF_KIND.UNION:
    case BTF_KIND.ENUM:
    case BTF_KIND.ENUM64:
    case BTF_KIND.FLOAT:
    case BTF_KIND.DATASEC:
      return btf.size(id);
    default:
      throw btf.error(id, `kind ${btf.kind(id)} has no size`);
  }
}

export interface Member {
  readonly name: string;
  readonly type: number;
  readonly bitOffset: number;
  /** 0 unless a bit field. */
  readonly bitSize: number;
}

/** Member `index` of a struct or union. */
export function memberOf(btf: Btf, id: number, index: number): Member {
  const position = btf.extra(id, index * 3 + 2);
  const bitFields = btf.flag(id);
  return {
    name: btf.string(btf.extra(id, index * 3)),
    type: btf.extra(id, index * 3 + 1),
    bitOffset: bitFields ? position & 0xffffff : position,
    bitSize: bitFields ? position >>> 24 : 0,
  };
}

export const isComposite = (kind: number): boolean => kind === BTF_KIND.STRUCT || kind === BTF_KIND.UNION;

export interface Enumerator {
  readonly name: string;
  readonly value: bigint;
}

/** Values of an ENUM or ENUM64 type. */
export function enumerators(btf: Btf, id: number): Enumerator[] {
  const wide = btf.kind(id) === BTF_KIND.ENUM64;
  const signed = btf.flag(id);
  const words = wide ? 3 : 2;
  return Array.from({ length: btf.length(id) }, (_, index) => {
    const low = BigInt(btf.extra(id, index * words + 1));
    const value = wide ? low | (BigInt(btf.extra(id, index * words + 2)) << 32n) : low;
    return {
      name: btf.string(btf.extra(id, index * words)),
      value: signed ? BigInt.asIntN(wide ? 64 : 32, value) : value,
    };
  });
}
