import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { svma } from '../base/address.ts';
import { argumentFlow } from './argument-flow.ts';
import { argumentUse } from './argument-use.ts';
import { countersIn } from './counters.ts';
import { functionFacts } from './function-facts.ts';
import { pointerFlow } from './pointer-flow.ts';
import { threadAccesses } from './thread-access.ts';

const START = 0x1000;
const code = (...parts: readonly (readonly number[])[]) => ({
  svma: svma(START),
  bytes: Uint8Array.from(parts.flat()),
});

const THREAD = [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0]; // mov rax, fs:[0]
const VARIABLE = [0x48, 0x8d, 0x80, 0x88, 0xfe, 0xff, 0xff]; // lea rax, [rax - 0x178]
const LOAD = [0x48, 0x8b, 0x48, 0x30]; // mov rcx, [rax + 0x30]
const STORE = [0x48, 0x89, 0x58, 0x30]; // mov [rax + 0x30], rbx
const BYTE = [0x0f, 0xb6, 0x48, 0x48]; // movzx ecx, byte ptr [rax + 0x48]
const CALL = [0xe8, 0, 0, 0, 0];

const offsets = (...parts: readonly (readonly number[])[]) =>
  threadAccesses(code(...parts)).map(({ offset, size, read, write }) => [offset, size, read, write]);

test('a variable behind the thread pointer', () => {
  assert.deepEqual(offsets(THREAD, VARIABLE, BYTE, LOAD, STORE), [
    [-0x130, 1, true, false],
    [-0x148, 8, true, false],
    [-0x148, 8, false, true],
  ]);
});

test('a copy that a call keeps, and one that it does not', () => {
  const keep = [0x49, 0x89, 0xc6]; // mov r14, rax
  const back = [0x4c, 0x89, 0xf0]; // mov rax, r14
  assert.deepEqual(offsets(THREAD, VARIABLE, keep, CALL, back, LOAD), [[-0x148, 8, true, false]]);
  assert.deepEqual(offsets(THREAD, VARIABLE, CALL, LOAD), []);
});

test('offsets in registers and in the instruction', () => {
  const offset = [0x49, 0xc7, 0xc4, 0x88, 0xfe, 0xff, 0xff]; // mov r12, -0x178
  const load = [0x64, 0x49, 0x8b, 0x4c, 0x24, 0x30]; // mov rcx, fs:[r12 + 0x30]
  assert.deepEqual(offsets(offset, load), [[-0x148, 8, true, false]]);
  const direct = [0x64, 0x4c, 0x8b, 0x24, 0x25, 0xb8, 0xfe, 0xff, 0xff]; // mov r12, fs:[-0x148]
  assert.deepEqual(offsets(direct), [[-0x148, 8, true, false]]);
  const add = [0x64, 0x4c, 0x03, 0x24, 0x25, 0, 0, 0, 0]; // add r12, fs:[0]
  const plain = [0x49, 0x8b, 0x4c, 0x24, 0x30]; // mov rcx, [r12 + 0x30]
  assert.deepEqual(offsets(offset, add, plain), [[-0x148, 8, true, false]]);
});

test('counters: one is added atomically, and the sum used', () => {
  const one = [0xb9, 1, 0, 0, 0]; // mov ecx, 1
  const two = [0xb9, 2, 0, 0, 0];
  const add = [0xf0, 0x48, 0x0f, 0xc1, 0x08]; // lock xadd [rax], rcx
  const address = [0x48, 0x8d, 0x05, 0xf9, 0x7f, 0, 0]; // lea rax, [rip + 0x7ff9] = 0x9000
  const pointer = [0x48, 0x8b, 0x05, 0xf9, 0x6f, 0, 0]; // mov rax, [0x8000]
  const pointedTo = (slot: number) => (slot === 0x8000 ? 0x9000 : undefined);
  assert.deepEqual(countersIn(code(address, one, add), pointedTo), [0x9000]);
  assert.deepEqual(countersIn(code(pointer, one, add), pointedTo), [0x9000]);
  const small = [0x6a, 1, 0x59]; // push 1; pop rcx
  assert.deepEqual(countersIn(code(address, small, add), pointedTo), [0x9000]);
  assert.deepEqual(countersIn(code(address, [0x6a, 2, 0x59], add), pointedTo), []);
  assert.deepEqual(countersIn(code(address, two, add), pointedTo), []);
  assert.deepEqual(countersIn(code(one, add), pointedTo), []);
  assert.deepEqual(countersIn(code(address, CALL, one, add), pointedTo), []);
});

test('arguments that are pointers, also by way of the stack', () => {
  const copy = [0x48, 0x89, 0xf3]; // mov rbx, rsi
  const spill = [0x48, 0x89, 0x54, 0x24, 0x08]; // mov [rsp + 8], rdx
  const reload = [0x48, 0x8b, 0x44, 0x24, 0x08]; // mov rax, [rsp + 8]
  const behindRbx = [0x48, 0x8b, 0x4b, 0x10]; // mov rcx, [rbx + 0x10]
  const behindRax = [0x48, 0x8b, 0x48, 0x28]; // mov rcx, [rax + 0x28]
  const use = argumentUse(code(copy, spill, CALL, behindRbx, reload, behindRax));
  assert.deepEqual([...(use.get('rsi') ?? [])], [0x10]);
  assert.deepEqual([...(use.get('rdx') ?? [])], [0x28]);
  assert.equal(use.has('rdi'), false);
  const over = [0x74, 0x05]; // je over the call
  assert.deepEqual([...(argumentUse(code(over, CALL, [0x48, 0x8b, 0x4e, 0x10])).get('rsi') ?? [])], [0x10]);
  assert.equal(argumentUse(code(CALL, [0x48, 0x8b, 0x4e, 0x10])).has('rsi'), false, 'after a call');
});

test('arguments that a function reads, and those that it hands on', () => {
  const push = [0x57]; // push rdi
  const clear = [0x31, 0xf6]; // xor esi, esi
  const copy = [0x49, 0x89, 0xce]; // mov r14, rcx
  const hand = [0x4c, 0x89, 0xf7]; // mov rdi, r14
  const near = [0xe8, 0x00, 0x01, 0x00, 0x00]; // call the next instruction + 0x100
  const slot = [0xff, 0x15, 0x00, 0x02, 0x00, 0x00]; // call [rip + 0x200]
  const behind = [0x41, 0x8b, 0x08]; // mov ecx, [r8]
  const { read, passed } = argumentFlow(code(push, clear, copy, hand, near, hand, slot, behind));
  assert.deepEqual([...read], ['rcx'], 'saved, cleared and lost ones are not read');
  const first = START + push.length + clear.length + copy.length + hand.length + near.length;
  const second = first + hand.length + slot.length;
  assert.deepEqual(
    passed.filter(({ as }) => as === 'rdi'),
    [
      { argument: 'rcx', as: 'rdi', target: first + 0x100 },
      { argument: 'rcx', as: 'rdi', target: second + 0x200 },
    ],
  );
});

test('what a function refers to and compares with', () => {
  const lea = [0x48, 0x8d, 0x05, 0, 1, 0, 0];
  const compare = [0x66, 0x3d, 0xbb, 0x01]; // cmp ax, 443
  const facts = functionFacts(code(lea, compare, CALL));
  assert.deepEqual([...facts.relativeEnds], [START + 7, START + 16]);
  assert.deepEqual([...facts.compared], [443]);
  assert.equal(facts.brokenAt, undefined);
  assert.equal(functionFacts(code(lea, [0x06])).brokenAt, START + 7);
});

test('any bytes are taken', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .array(fc.constantFrom(THREAD, VARIABLE, LOAD, STORE, BYTE, CALL, [0xf0], [0x0f]), { maxLength: 30 })
      .map((parts) => Uint8Array.from(parts.flat())),
  );
  fc.assert(
    fc.property(bytes, (some) => {
      const any = { svma: svma(START), bytes: some };
      threadAccesses(any);
      countersIn(any, () => 0x9000);
      argumentUse(any);
      for (const end of functionFacts(any).relativeEnds) assert.ok(end > START && end <= START + some.length);
    }),
    { numRuns: 1500 },
  );
});

const [RSP, RDI] = [4, 7];

/** What is known of rdi and of the stack at each direct call. */
function calls(...parts: readonly (readonly number[])[]) {
  const found: (string | undefined)[] = [];
  pointerFlow(code(...parts), ({ instruction, placeIn, target }) => {
    const [rdi, rsp] = [placeIn(RDI), placeIn(RSP)];
    if (target !== undefined && instruction.flow === 'call')
      found.push(`${rdi ? `${rdi.base}${rdi.displacement}` : 'unknown'} ${rsp?.displacement}`);
  });
  return found;
}

const PUSH = [0x53]; // push rbx
const FRAME = [0x48, 0x83, 0xec, 0x20]; // sub rsp, 0x20
const KEEP = [0x48, 0x89, 0xf3]; // mov rbx, rsi
const GIVE = [0x48, 0x8d, 0x7b, 0x60]; // lea rdi, [rbx + 0x60]
const RET = [0xc3];

test('places behind arguments and in the frame', () => {
  assert.deepEqual(calls(PUSH, FRAME, KEEP, CALL, GIVE, CALL), ['rdi0 -40', 'rsi96 -40']);
  const local = [0x48, 0x8d, 0x7c, 0x24, 0x10]; // lea rdi, [rsp + 0x10]
  assert.deepEqual(calls(PUSH, FRAME, local, CALL), ['frame-24 -40']);
  const spill = [0x48, 0x89, 0x74, 0x24, 0x08]; // mov [rsp + 8], rsi
  const reload = [0x48, 0x8b, 0x7c, 0x24, 0x08]; // mov rdi, [rsp + 8]
  assert.deepEqual(calls(FRAME, spill, CALL, reload, CALL), ['rdi0 -32', 'rsi0 -32']);
  assert.deepEqual(calls(CALL, CALL), ['rdi0 0', 'unknown 0'], 'a call changes rdi');
});

test('where ways join only what they agree on is known', () => {
  const over = (size: number) => [0x74, size]; // je
  const other = [0x48, 0x89, 0xd3]; // mov rbx, rdx
  assert.deepEqual(calls(KEEP, over(3), other, GIVE, CALL), ['unknown 0']);
  assert.deepEqual(calls(KEEP, over(3), KEEP, GIVE, CALL), ['rsi96 0']);
  // A loop that changes rbx behind its head: at the head it is not known.
  const loop = [0x75, -(4 + 5 + 3 + 2) & 0xff]; // jne to GIVE
  assert.deepEqual(calls(KEEP, GIVE, CALL, other, loop, RET), ['unknown 0']);
  assert.deepEqual(calls(KEEP, GIVE, CALL, [0x90, 0x90, 0x90], loop, RET), ['rsi96 0']);
});

test('the flow through any bytes ends', () => {
  const parts = fc.constantFrom(PUSH, FRAME, KEEP, GIVE, CALL, RET, [0x74, 0xf0], [0xeb, 0x05], [0xff, 0xe0]);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(parts, { maxLength: 40 }).map((some) => Uint8Array.from(some.flat())),
  );
  fc.assert(
    fc.property(bytes, (some) => {
      let last = -1;
      pointerFlow({ svma: svma(START), bytes: some }, ({ instruction }) => {
        assert.ok(instruction.offset > last);
        last = instruction.offset;
      });
    }),
    { numRuns: 1000 },
  );
});
