import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseBpfObject } from './bpf-object.ts';
import { arrayOf, BTF_KIND, Btf, enumerators, isComposite, memberOf, sizeOf, strip } from './btf.ts';
import { parseBtfExt } from './btf-ext.ts';
import { kernelBtf } from './btf-kernel.ts';
import { resolveCore } from './core-relo.ts';
import { readMapSpecs } from './map-spec.ts';
import { KERNEL_BTF } from './open-kernel.ts';
import { testObject } from './test-support.ts';

const object = parseBpfObject(testObject(), 'loader.bpf.o');

function find(kind: number, name: string): number {
  const id = object.btf.find(kind, name);
  assert.ok(id !== undefined, name);
  return id;
}

test('structs, members, arrays, sizes', () => {
  const { btf } = object;
  const task = find(BTF_KIND.STRUCT, 'task_struct');
  const members = Array.from({ length: btf.length(task) }, (_, index) => memberOf(btf, task, index));
  const comm = members.find((member) => member.name === 'comm');
  assert.ok(comm);
  assert.deepEqual(arrayOf(btf, strip(btf, comm.type)).count, 16);
  assert.equal(sizeOf(btf, comm.type), 16);
  assert.equal(sizeOf(btf, find(BTF_KIND.TYPEDEF, 'u64')), 8);
  assert.equal(sizeOf(btf, find(BTF_KIND.STRUCT, 'value')), 16);
  assert.equal(btf.find(BTF_KIND.STRUCT, 'nowhere'), undefined);
  assert.equal(btf.find(BTF_KIND.UNION, 'task_struct'), undefined, 'right name, wrong kind');
  assert.deepEqual(enumerators(btf, find(BTF_KIND.ENUM, 'bpf_map_type___other')), [
    { name: 'BPF_MAP_TYPE_RINGBUF___other', value: 999n },
  ]);
});

test('map definitions', () => {
  const specs = new Map(readMapSpecs(object.btf).map((spec) => [spec.name, spec]));
  assert.deepEqual([...specs.keys()].sort(), [
    'by_key',
    'per_cpu',
    'per_socket',
    'per_task',
    'recent',
    'results',
    'ring',
    'tails',
  ]);
  const { type, keySize, valueSize, maxEntries, flags } = specs.get('by_key') ?? assert.fail();
  assert.deepEqual(
    { type, keySize, valueSize, maxEntries, flags },
    { type: 1, keySize: 4, valueSize: 16, maxEntries: 4, flags: 0 },
  );
  assert.equal(specs.get('per_task')?.flags, 1);
  assert.equal(specs.get('recent')?.keySize, 8);
});

test('functions, their relocations and data sections', () => {
  const bySection = (section: string) =>
    object.functions
      .filter((each) => each.section === section)
      .map((each) => each.name)
      .sort();
  assert.deepEqual(bySection('uprobe.multi'), ['fill', 'on_call', 'on_call_tail']);
  assert.deepEqual(bySection('.text'), ['add', 'hit', 'put']);
  assert.deepEqual([...object.data.keys()].sort(), ['.bss', '.data', '.rodata']);
  assert.equal(object.license, 'GPL');
});

test('BTF for the kernel keeps ids and drops what kernels disagree about', () => {
  const btf = new Btf(kernelBtf(object.btf, true), 'rewritten');
  assert.equal(btf.count, object.btf.count);
  for (let id = 1; id < btf.count; id += 1) {
    const before = object.btf.kind(id);
    const dropped =
      before === BTF_KIND.VAR ||
      before === BTF_KIND.DATASEC ||
      (before === BTF_KIND.FUNC && object.btf.length(id) === 2);
    assert.equal(btf.kind(id), dropped ? BTF_KIND.INT : before);
    if (!dropped) assert.equal(btf.name(id), object.btf.name(id));
  }
});

test("the running kernel's types: every one is readable, quickly", () => {
  const bytes = readFileSync(KERNEL_BTF);
  const start = performance.now();
  const btf = new Btf(bytes, 'the kernel');
  assert.ok(btf.find(BTF_KIND.STRUCT, 'task_struct'));
  assert.ok(btf.find(BTF_KIND.TYPEDEF, 'btf_trace_sched_process_exec'));
  const elapsed = performance.now() - start;
  assert.ok(elapsed < 1000, `${elapsed} ms`);
  assert.ok(btf.count > 10_000);
  visitAll(btf);
});

/** Reads everything there is; throws where a type is damaged. Returns what it saw, so that it can't be skipped. */
function visitAll(btf: Btf): number {
  let seen = 0;
  for (let id = 1; id < btf.count; id += 1) {
    seen += btf.name(id).length;
    if (isComposite(btf.kind(id)))
      for (let index = 0; index < btf.length(id); index += 1) seen += memberOf(btf, id, index).name.length;
    if (btf.kind(id) === BTF_KIND.ENUM || btf.kind(id) === BTF_KIND.ENUM64)
      seen += enumerators(btf, id).length;
    if (btf.kind(id) === BTF_KIND.TYPEDEF) seen += strip(btf, id);
    if (btf.kind(id) === BTF_KIND.ARRAY) seen += sizeOf(btf, id);
  }
  return seen;
}

/** A damaged input ends in an Error of ours that names the action, never in a TypeError or a hang. */
function survives(read: () => unknown): void {
  const start = performance.now();
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof Error, String(error));
    assert.match(
      error.message,
      /Cannot |damaged|truncated|is not an ELF|32-bit|big-endian|invalid ELF|is a program for/,
      error.stack,
    );
  }
  assert.ok(performance.now() - start < 2000, 'bounded time');
}

function mutate(bytes: Buffer, cut: number, flips: readonly (readonly [number, number])[]): Buffer {
  const copy = Buffer.from(bytes.subarray(0, Math.floor(bytes.length * cut)));
  for (const [place, value] of flips) if (copy.length > 0) copy[Math.floor(place * copy.length)] = value;
  return copy;
}

const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const mutations = [
  fc.oneof(fc.constant(1), fraction),
  fc.array(fc.tuple(fraction, fc.integer({ min: 0, max: 255 })), { maxLength: 8 }),
] as const;

test('damaged BTF: a clear error, in bounded time', () => {
  fc.assert(
    fc.property(...mutations, (cut, flips) => {
      survives(() => {
        const btf = new Btf(mutate(object.btfBytes, cut, flips), 'damaged');
        visitAll(btf);
        readMapSpecs(btf);
        kernelBtf(btf, true);
      });
    }),
    { numRuns: 500 },
  );
});

test('damaged objects: a clear error, in bounded time', () => {
  const bytes = testObject();
  fc.assert(
    fc.property(...mutations, (cut, flips) =>
      survives(() => parseBpfObject(mutate(bytes, cut, flips), 'damaged')),
    ),
    { numRuns: 500 },
  );
});

test('damaged CO-RE relocations: an answer or a clear error', () => {
  fc.assert(
    fc.property(
      fc.nat(object.btf.count + 5),
      fc.stringMatching(/^[0-9:]{0,8}$/),
      fc.nat(14),
      (type, access, kind) =>
        survives(() => resolveCore(object.btf, object.btf, { offset: 0, type, access, kind })),
    ),
    { numRuns: 2000 },
  );
});

test('.BTF.ext: absent, cut, wrong magic', () => {
  assert.equal(parseBtfExt(undefined, object.btf).functions.size, 0);
  assert.throws(() => parseBtfExt(Buffer.alloc(32), object.btf), /magic 0x0, expected 0xeb9f/);
  assert.throws(
    () => parseBtfExt(Buffer.from('9feb0100', 'hex'), object.btf),
    /Cannot read .BTF.ext header size/,
  );
});
