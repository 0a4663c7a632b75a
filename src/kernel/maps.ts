import { closeSync, readFileSync } from 'node:fs';
import type { BpfObject, DataSection } from './bpf-object.ts';
import {
  addElement,
  deleteElement,
  freezeMap,
  lookupElement,
  type MapCreation,
  tryCreateMap,
  updateElement,
} from './bpf-syscall.ts';
import type { BpfMap } from './kernel.ts';
import { ERRNO, SystemCallError } from './libc.ts';
import { MAP_TYPE, type MapSpec } from './map-spec.ts';

const BPF_F_RDONLY_PROG = 1 << 7;

/** Map types whose values have one copy a CPU. */
const PER_CPU: readonly number[] = [MAP_TYPE.PERCPU_HASH, MAP_TYPE.PERCPU_ARRAY, MAP_TYPE.LRU_PERCPU_HASH];
/** Types that can't be made without BTF, and those that gain by it (timers, spin locks in values). */
const STORAGE: readonly number[] = [MAP_TYPE.SK_STORAGE, MAP_TYPE.TASK_STORAGE];
const WITH_BTF: readonly number[] = [
  ...STORAGE,
  MAP_TYPE.HASH,
  MAP_TYPE.ARRAY,
  MAP_TYPE.LRU_HASH,
  MAP_TYPE.PERCPU_ARRAY,
];

/** Creates one map; returns its descriptor. */
export function createMap(spec: MapSpec, btfFd: number): number {
  const { keyType, valueType } = spec;
  const typed = WITH_BTF.includes(spec.type) && keyType !== 0 && valueType !== 0;
  const creation: MapCreation = typed ? { ...spec, btf: { fd: btfFd, keyType, valueType } } : spec;
  let fd = tryCreateMap(creation);
  if (fd < 0 && typed && !STORAGE.includes(spec.type)) fd = tryCreateMap(spec);
  if (fd >= 0) return fd;
  throw new SystemCallError(
    `create map ${spec.name} (type ${spec.type}, key ${spec.keySize}, value ${spec.valueSize}, ${spec.maxEntries} entries)`,
    -fd,
  );
}

/** Creates the one-entry array that holds a data section. Read-only ones are frozen. */
export function createDataMap(section: DataSection): number {
  const readOnly = section.name.startsWith('.rodata');
  const fd = tryCreateMap({
    name: section.name,
    type: MAP_TYPE.ARRAY,
    keySize: 4,
    valueSize: section.bytes.length,
    maxEntries: 1,
    flags: readOnly ? BPF_F_RDONLY_PROG : 0,
  });
  if (fd < 0)
    throw new SystemCallError(`create the map of ${section.name}, ${section.bytes.length} bytes`, -fd);
  try {
    const error = updateElement(fd, Buffer.alloc(4), section.bytes);
    if (error < 0) throw new SystemCallError(`fill ${section.name}`, -error);
    if (readOnly) freezeMap(section.name, fd);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Writes `constants` over the initial values of variables in `.rodata`; returns the sections to load. */
export function withConstants(
  object: BpfObject,
  constants: Readonly<Record<string, number | bigint>>,
): ReadonlyMap<string, DataSection> {
  const sections = new Map(
    [...object.data].map(([name, data]) => [name, { ...data, bytes: Buffer.from(data.bytes) }]),
  );
  for (const [name, value] of Object.entries(constants)) {
    const symbol = object.symbols.find((candidate) => candidate.name === name);
    const section = symbol && sections.get(object.sectionNames[symbol.sectionIndex] ?? '');
    if (!symbol || !section?.name.startsWith('.rodata'))
      throw new Error(`Cannot set constant ${name}: no such variable in .rodata`);
    writeInteger(section.bytes, symbol.value, symbol.size, BigInt(value), name);
  }
  return sections;
}

function writeInteger(bytes: Buffer, at: number, size: number, value: bigint, name: string): void {
  const bits = size * 8;
  if (size !== 1 && size !== 2 && size !== 4 && size !== 8)
    throw new Error(`Cannot set constant ${name}: it has ${size} bytes`);
  const fits = value === BigInt.asUintN(bits, value) || value === BigInt.asIntN(bits, value);
  if (!fits) throw new Error(`Cannot set constant ${name}: ${value} does not fit ${bits} bits`);
  for (let index = 0; index < size; index += 1) {
    bytes[at + index] = Number((BigInt.asUintN(bits, value) >> BigInt(index * 8)) & 0xffn);
  }
}

let possibleCpus: number | undefined;

/** The kernel's array size for per-CPU values: `0-3` → 4. */
function countPossibleCpus(): number {
  if (possibleCpus === undefined) {
    const text = readFileSync('/sys/devices/system/cpu/possible', 'latin1');
    possibleCpus = Math.max(...text.trim().split(/[-,]/).map(Number)) + 1;
  }
  return possibleCpus;
}

/** User-space access to a map. `kernel` owns the descriptor. */
export function openMap(spec: Pick<MapSpec, 'name' | 'type' | 'keySize' | 'valueSize'>, fd: number): BpfMap {
  const { name, keySize, valueSize } = spec;
  const perCpu = PER_CPU.includes(spec.type);
  const bufferSize = perCpu ? Math.ceil(valueSize / 8) * 8 * countPossibleCpus() : valueSize;
  const checkKey = (key: Uint8Array) => checkSize(name, 'key', key.length, keySize);
  return {
    name,
    keySize,
    valueSize,
    update(key, value) {
      checkKey(key);
      checkSize(name, 'value', value.length, bufferSize);
      const error = updateElement(fd, key, value);
      if (error < 0) throw new SystemCallError(`update map ${name}`, -error);
    },
    add(key, value) {
      checkKey(key);
      checkSize(name, 'value', value.length, bufferSize);
      const error = addElement(fd, key, value);
      if (error < 0 && error !== -ERRNO.EEXIST) throw new SystemCallError(`add to map ${name}`, -error);
      return error === 0;
    },
    lookup(key) {
      checkKey(key);
      const value = Buffer.alloc(bufferSize);
      const error = lookupElement(fd, key, value);
      if (error === -ERRNO.ENOENT) return undefined;
      if (error < 0) throw new SystemCallError(`look up in map ${name}`, -error);
      return value;
    },
    delete(key) {
      checkKey(key);
      const error = deleteElement(fd, key);
      if (error < 0 && error !== -ERRNO.ENOENT) throw new SystemCallError(`delete from map ${name}`, -error);
      return error === 0;
    },
  };
}

/** A short buffer would let the kernel write past its end. */
function checkSize(map: string, what: string, found: number, wanted: number): void {
  if (found !== wanted)
    throw new Error(`Cannot access map ${map}: ${what} of ${found} bytes, it has ${wanted}`);
}
