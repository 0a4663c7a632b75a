import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type BpfFunction, type BpfObject, parseBpfObject } from './bpf-object.ts';
import { CLASS, classAt, immediateAt, opcodeAt, sizeAt, sourceAt } from './instructions.ts';
import { relocateFunction } from './relocate.ts';

const OBJECT = new URL('../../../bpf/agent.bpf.o', import.meta.url);
/** MAX_BPF_STACK: of a program and all that it calls, before 6.13. */
const LIMIT = 512;
const FRAME_POINTER = 10;
const MOV64_X = 0xbf;
const ADD64_K = 0x07;

const destinationAt = (code: Buffer, at: number): number => code.readUInt8(at + 1) & 0xf;

/** Bytes below the frame pointer that a function uses, by its accesses and by the addresses that it makes. */
function frameOf({ code }: BpfFunction): number {
  let deepest = 0;
  let copy: number | undefined;
  for (let at = 0; at < code.length; at += sizeAt(code, at)) {
    const kind = classAt(code, at);
    const base = kind === CLASS.LDX ? sourceAt(code, at) : destinationAt(code, at);
    const accesses = kind === CLASS.LDX || kind === CLASS.ST || kind === CLASS.STX;
    if (accesses && base === FRAME_POINTER) deepest = Math.min(deepest, code.readInt16LE(at + 2));
    if (opcodeAt(code, at) === ADD64_K && destinationAt(code, at) === copy)
      deepest = Math.min(deepest, immediateAt(code, at));
    const copies = opcodeAt(code, at) === MOV64_X && sourceAt(code, at) === FRAME_POINTER;
    copy = copies ? destinationAt(code, at) : undefined;
  }
  return -deepest;
}

/** As kernels before that with multiples of 16 count them. */
const counted = (bytes: number): number => Math.ceil(Math.max(bytes, 1) / 32) * 32;

/** The longest way down from a function: bytes, and who has them. */
function deepestFrom(object: BpfObject): (one: BpfFunction) => readonly [bytes: number, way: string] {
  const known = new Map<BpfFunction, readonly [number, string]>();
  const context = { object, kernel: object.btf, mapFds: { get: () => 0 } as never, poisons: [] };
  const deepest = (one: BpfFunction): readonly [number, string] => {
    const before = known.get(one);
    if (before) return before;
    const called = relocateFunction(one, context).references.map(({ target }) => deepest(target));
    const [below, way] = called.reduce((most, each) => (each[0] > most[0] ? each : most), [0, '']);
    const frame = frameOf(one);
    const result = [counted(frame) + below, `${one.name} ${frame}${way && ' → '}${way}`] as const;
    known.set(one, result);
    return result;
  };
  return deepest;
}

test('the frames of nested functions fit the stack of kernels that add them up', () => {
  const object = parseBpfObject(readFileSync(OBJECT), 'bpf/agent.bpf.o');
  const deepest = deepestFrom(object);
  const programs = object.functions.filter(({ section }) => section !== '.text');
  assert.ok(programs.length > 30);
  const tooDeep = programs.map(deepest).filter(([bytes]) => bytes > LIMIT);
  assert.deepEqual(tooDeep, []);
  assert.ok(Math.max(...programs.map((one) => deepest(one)[0])) > LIMIT / 2, 'frames are seen');
});
