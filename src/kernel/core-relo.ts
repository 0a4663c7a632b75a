import {
  arrayOf,
  BTF_KIND,
  type Btf,
  enumerators,
  isComposite,
  type Member,
  memberOf,
  sizeOf,
  strip,
} from './btf.ts';
import type { CoreRelocation } from './btf-ext.ts';

/** enum bpf_core_relo_kind, include/uapi/linux/bpf.h. */
export const CORE_KIND = {
  FIELD_BYTE_OFFSET: 0,
  FIELD_BYTE_SIZE: 1,
  FIELD_EXISTS: 2,
  FIELD_SIGNED: 3,
  FIELD_LSHIFT_U64: 4,
  FIELD_RSHIFT_U64: 5,
  TYPE_ID_LOCAL: 6,
  TYPE_ID_TARGET: 7,
  TYPE_EXISTS: 8,
  TYPE_SIZE: 9,
  ENUMVAL_EXISTS: 10,
  ENUMVAL_VALUE: 11,
} as const;

/** What the instruction gets. `accessSize`: bytes of the kernel's scalar, where a load must follow its width. */
export type CoreResult =
  | { readonly ok: true; readonly value: bigint; readonly accessSize: number | undefined }
  | { readonly ok: false; readonly reason: string };

/** A path through types: a member by name (anonymous levels left out) or an array index. */
type Step = string | number;

/** How deep anonymous structs and unions may nest. */
const MAX_DEPTH = 32;

/** `task_struct___old` → `task_struct`: programs keep variants of one kernel type apart by such a suffix. */
export const essentialName = (name: string): string => name.replace(/___.*$/, '');

const found = (value: number | bigint | boolean, accessSize?: number): CoreResult => ({
  ok: true,
  value: BigInt(value),
  accessSize,
});

/** Answers one relocation of an object from the running kernel's types. */
export function resolveCore(local: Btf, kernel: Btf, relocation: CoreRelocation): CoreResult {
  if (relocation.kind === CORE_KIND.TYPE_ID_LOCAL) return found(relocation.type);
  if (relocation.kind < CORE_KIND.TYPE_ID_LOCAL) return resolveField(local, kernel, relocation);
  if (relocation.kind <= CORE_KIND.TYPE_SIZE) return resolveType(local, kernel, relocation);
  if (relocation.kind <= CORE_KIND.ENUMVAL_VALUE) return resolveEnumerator(local, kernel, relocation);
  return { ok: false, reason: `relocation kind ${relocation.kind} is unknown to this loader` };
}

function resolveField(local: Btf, kernel: Btf, relocation: CoreRelocation): CoreResult {
  const { rootName, steps, text } = describeAccess(local, relocation);
  const places: Place[] = [];
  for (const candidate of candidates(local, kernel, relocation.type, rootName)) {
    const place = walk(kernel, candidate, steps);
    if (place) places.push(place);
  }
  const [first] = places;
  if (relocation.kind === CORE_KIND.FIELD_EXISTS) return found(first !== undefined);
  if (!first) return { ok: false, reason: `this kernel has no ${text}` };
  const answers = places.map((place) => fieldValue(kernel, place, relocation.kind));
  if (answers.every((answer) => answer.value === answers[0]?.value))
    return { ok: true, ...(answers[0] ?? fieldValue(kernel, first, relocation.kind)) };
  return { ok: false, reason: `this kernel has ${places.length} different types with ${text}` };
}

/** Type ids in the kernel of the same name and kind. */
function candidates(local: Btf, kernel: Btf, type: number, rootName: string): number[] {
  const kind = local.kind(type);
  return kernel.idsByName(rootName).filter((id) => kernel.kind(id) === kind);
}

interface Access {
  readonly rootName: string;
  readonly steps: readonly Step[];
  /** `struct task_struct.thread.fsbase`, for messages. */
  readonly text: string;
}

/** Turns "0:5:1" into names: the first number indexes the pointer, the others members and array elements. */
function describeAccess(local: Btf, relocation: CoreRelocation): Access {
  const indexes = relocation.access.split(':').map(Number);
  const rootName = essentialName(local.name(relocation.type));
  if (indexes.some((index) => !Number.isInteger(index)) || rootName === '') {
    throw new Error(
      `Cannot read a CO-RE relocation: access "${relocation.access}" of type ${relocation.type}`,
    );
  }
  const steps: Step[] = [indexes[0] ?? 0];
  let type = strip(local, relocation.type);
  for (const index of indexes.slice(1)) {
    if (isComposite(local.kind(type))) {
      const member = memberOf(local, type, index);
      if (member.name !== '') steps.push(member.name);
      type = strip(local, member.type);
    } else {
      steps.push(index);
      type = strip(local, elementOf(local, type));
    }
  }
  const path = steps.slice(1).map((step) => (typeof step === 'string' ? `.${step}` : `[${step}]`));
  return { rootName, steps, text: `${rootName}${path.join('')}` };
}

function elementOf(btf: Btf, type: number): number {
  if (btf.kind(type) !== BTF_KIND.ARRAY)
    throw btf.error(type, `kind ${btf.kind(type)} where an array was expected`);
  return arrayOf(btf, type).element;
}

/** Where a field lies in the kernel's type. */
interface Place {
  readonly bitOffset: number;
  readonly bitSize: number;
  readonly type: number;
}

function walk(kernel: Btf, root: number, steps: readonly Step[]): Place | undefined {
  let place: Place = { bitOffset: 0, bitSize: 0, type: root };
  for (const [position, step] of steps.entries()) {
    const type = strip(kernel, place.type);
    if (typeof step === 'number') {
      const element =
        position === 0
          ? type
          : kernel.kind(type) === BTF_KIND.ARRAY
            ? arrayOf(kernel, type).element
            : undefined;
      if (element === undefined) return undefined;
      const shift = step === 0 ? 0 : step * sizeOf(kernel, element) * 8;
      place = { bitOffset: place.bitOffset + shift, bitSize: 0, type: element };
    } else {
      const member = findMember(kernel, type, step, 0);
      if (!member) return undefined;
      place = { bitOffset: place.bitOffset + member.bitOffset, bitSize: member.bitSize, type: member.type };
    }
  }
  return place;
}

/** A member by name, also inside anonymous structs and unions; the offset is from the outer type. */
function findMember(btf: Btf, type: number, name: string, depth: number): Member | undefined {
  if (!isComposite(btf.kind(type)) || depth > MAX_DEPTH) return undefined;
  for (let index = 0; index < btf.length(type); index += 1) {
    const member = memberOf(btf, type, index);
    if (member.name === name) return member;
    if (member.name !== '') continue;
    const inner = findMember(btf, strip(btf, member.type), name, depth + 1);
    if (inner) return { ...inner, bitOffset: inner.bitOffset + member.bitOffset };
  }
  return undefined;
}

interface Answer {
  readonly value: bigint;
  readonly accessSize: number | undefined;
}

function fieldValue(kernel: Btf, place: Place, kind: number): Answer {
  const { byteOffset, byteSize } = bytesOfPlace(kernel, place);
  const bits = place.bitSize || byteSize * 8;
  const bitInWindow = place.bitOffset - byteOffset * 8;
  switch (kind) {
    case CORE_KIND.FIELD_BYTE_OFFSET:
      return { value: BigInt(byteOffset), accessSize: scalarWidth(kernel, place, byteSize) };
    case CORE_KIND.FIELD_BYTE_SIZE:
      return { value: BigInt(byteSize), accessSize: undefined };
    case CORE_KIND.FIELD_SIGNED:
      return { value: isSigned(kernel, place.type) ? 1n : 0n, accessSize: undefined };
    case CORE_KIND.FIELD_LSHIFT_U64: // little endian: the field's top bit moves to bit 63
      return { value: BigInt(64 - bitInWindow - bits), accessSize: undefined };
    default: // FIELD_RSHIFT_U64
      return { value: BigInt(64 - bits), accessSize: undefined };
  }
}

/** A bit field is read through the smallest aligned power-of-two window that holds it, from its type's size up. */
function bytesOfPlace(kernel: Btf, place: Place): { byteOffset: number; byteSize: number } {
  let byteSize = sizeOf(kernel, place.type);
  if (place.bitSize === 0) return { byteOffset: place.bitOffset / 8, byteSize };
  const offsetFor = (size: number) => Math.floor(place.bitOffset / 8 / size) * size;
  while (byteSize < 8 && place.bitOffset + place.bitSize - offsetFor(byteSize) * 8 > byteSize * 8)
    byteSize *= 2;
  return { byteOffset: offsetFor(byteSize), byteSize };
}

/** Loads may be widened or narrowed only where zero extension is right: pointers and unsigned integers. */
function scalarWidth(kernel: Btf, place: Place, byteSize: number): number | undefined {
  const type = strip(kernel, place.type);
  const kind = kernel.kind(type);
  const scalar = kind === BTF_KIND.PTR || (kind === BTF_KIND.INT && !isSigned(kernel, type));
  return scalar && place.bitSize === 0 ? byteSize : undefined;
}

const INT_SIGNED = 1;

function isSigned(btf: Btf, type: number): boolean {
  const id = strip(btf, type);
  const kind = btf.kind(id);
  if (kind === BTF_KIND.ENUM || kind === BTF_KIND.ENUM64) return btf.flag(id);
  return kind === BTF_KIND.INT && ((btf.extra(id, 0) >>> 24) & 0xf & INT_SIGNED) !== 0;
}

function resolveType(local: Btf, kernel: Btf, relocation: CoreRelocation): CoreResult {
  const name = essentialName(local.name(relocation.type));
  const [id] = candidates(local, kernel, relocation.type, name);
  if (relocation.kind === CORE_KIND.TYPE_EXISTS) return found(id !== undefined);
  if (id === undefined) return { ok: false, reason: `this kernel has no type ${name}` };
  return found(relocation.kind === CORE_KIND.TYPE_SIZE ? sizeOf(kernel, id) : id);
}

function resolveEnumerator(local: Btf, kernel: Btf, relocation: CoreRelocation): CoreResult {
  const type = strip(local, relocation.type);
  const wanted = enumerators(local, type)[Number(relocation.access)];
  if (!wanted) throw local.error(type, `no enumerator ${relocation.access}`);
  const name = essentialName(local.name(type));
  const enumKinds: readonly number[] = [BTF_KIND.ENUM, BTF_KIND.ENUM64];
  const value = kernel
    .idsByName(name)
    .filter((id) => enumKinds.includes(kernel.kind(id)))
    .flatMap((id) => enumerators(kernel, id))
    .find((candidate) => candidate.name === essentialName(wanted.name))?.value;
  if (relocation.kind === CORE_KIND.ENUMVAL_EXISTS) return found(value !== undefined);
  return value === undefined
    ? { ok: false, reason: `this kernel has no ${name}.${wanted.name}` }
    : found(value);
}
