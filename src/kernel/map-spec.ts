import { arrayOf, BTF_KIND, type Btf, memberOf, sizeOf, strip } from './btf.ts';

/** enum bpf_map_type, include/uapi/linux/bpf.h. */
export const MAP_TYPE = {
  HASH: 1,
  ARRAY: 2,
  PROG_ARRAY: 3,
  PERCPU_HASH: 5,
  PERCPU_ARRAY: 6,
  LRU_HASH: 9,
  LRU_PERCPU_HASH: 10,
  SOCKHASH: 18,
  SK_STORAGE: 24,
  RINGBUF: 27,
  TASK_STORAGE: 29,
} as const;

/** A map as the object's `.maps` section defines it. */
export interface MapSpec {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** BTF type ids; 0 when the definition gives only sizes. */
  readonly keyType: number;
  readonly valueType: number;
}

export function readMapSpecs(btf: Btf): MapSpec[] {
  const section = btf.find(BTF_KIND.DATASEC, '.maps');
  if (section === undefined) return [];
  return Array.from({ length: btf.length(section) }, (_, index) =>
    readMapSpec(btf, btf.extra(section, index * 3)),
  );
}

type Field = (member: { readonly type: number }) => Partial<MapSpec>;

function readMapSpec(btf: Btf, variable: number): MapSpec {
  const name = btf.name(variable);
  const definition = strip(btf, btf.target(variable));
  if (btf.kind(definition) !== BTF_KIND.STRUCT) throw btf.error(definition, `map ${name} is not a struct`);
  const fields = fieldReaders(btf);
  let spec: MapSpec = {
    name,
    type: 0,
    keySize: 0,
    valueSize: 0,
    maxEntries: 0,
    flags: 0,
    keyType: 0,
    valueType: 0,
  };
  for (let index = 0; index < btf.length(definition); index += 1) {
    const member = memberOf(btf, definition, index);
    const field = fields[member.name];
    if (!field)
      throw new Error(
        `Cannot create map ${name}: definition has "${member.name}", which this loader doesn't know`,
      );
    spec = { ...spec, ...field(member) };
  }
  return spec;
}

function fieldReaders(btf: Btf): Readonly<Record<string, Field>> {
  return {
    type: ({ type }) => ({ type: encodedNumber(btf, type) }),
    max_entries: ({ type }) => ({ maxEntries: encodedNumber(btf, type) }),
    map_flags: ({ type }) => ({ flags: encodedNumber(btf, type) }),
    key_size: ({ type }) => ({ keySize: encodedNumber(btf, type) }),
    value_size: ({ type }) => ({ valueSize: encodedNumber(btf, type) }),
    key: ({ type }) => typed(btf, type, (keyType, keySize) => ({ keyType, keySize })),
    value: ({ type }) => typed(btf, type, (valueType, valueSize) => ({ valueType, valueSize })),
  };
}

/** `__uint(name, 42)` is the member `int (*name)[42]`. */
function encodedNumber(btf: Btf, pointer: number): number {
  const array = strip(btf, pointee(btf, pointer));
  if (btf.kind(array) !== BTF_KIND.ARRAY) throw btf.error(array, 'a map attribute is not an array');
  return arrayOf(btf, array).count;
}

/** `__type(name, T)` is the member `T *name`. */
function typed(
  btf: Btf,
  pointer: number,
  make: (type: number, size: number) => Partial<MapSpec>,
): Partial<MapSpec> {
  const type = pointee(btf, pointer);
  return make(type, sizeOf(btf, type));
}

function pointee(btf: Btf, id: number): number {
  const pointer = strip(btf, id);
  if (btf.kind(pointer) !== BTF_KIND.PTR) throw btf.error(pointer, 'a map attribute is not a pointer');
  return btf.target(pointer);
}
