import assert from 'node:assert/strict';
import { test } from 'node:test';
import { svma } from '../base/address.ts';
import { type ThreadAccessor, threadAccesses, threadAccessor } from './thread-access.ts';

const START = 0x1000;
const code = (...parts: readonly (readonly number[])[]) => ({
  svma: svma(START),
  bytes: Uint8Array.from(parts.flat()),
});

const THREAD = [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0]; // mov rax, fs:[0]
const VARIABLE = [0x48, 0x8d, 0x98, 0x00, 0xfe, 0xff, 0xff]; // lea rbx, [rax - 0x200]
const ALIVE = [0x64, 0x0f, 0xb6, 0x04, 0x25, 0x48, 0xfe, 0xff, 0xff]; // movzx eax, byte ptr fs:[-0x1b8]
const OVER_CLEAR = [0x74, 0x02]; // je over the next
const CLEAR = [0x31, 0xdb]; // xor ebx, ebx
const RESULT = [0x48, 0x89, 0xd8]; // mov rax, rbx
const POP = [0x5b]; // pop rbx
const RET = [0xc3];

test('a function that returns the address of a variable, or 0', () => {
  const accessor = threadAccessor(code(THREAD, VARIABLE, ALIVE, OVER_CLEAR, CLEAR, RESULT, POP, RET));
  assert.deepEqual(accessor, {
    start: -0x200,
    accesses: [{ offset: -0x1b8, size: 1, read: true, write: false, start: undefined }],
  });
});

test('a function that returns something else is none', () => {
  assert.equal(threadAccessor(code(THREAD, VARIABLE, RET)), undefined, 'the thread pointer');
  assert.equal(threadAccessor(code(THREAD, VARIABLE, RESULT)), undefined, 'no return');
  const load = [0x48, 0x8b, 0x03]; // mov rax, [rbx]
  assert.equal(threadAccessor(code(THREAD, VARIABLE, load, RET)), undefined, 'what is in the variable');
  const other = [0x48, 0x8d, 0x98, 0x00, 0xfd, 0xff, 0xff]; // lea rbx, [rax - 0x300]
  const two = code(THREAD, VARIABLE, RESULT, RET, THREAD, other, RESULT, RET);
  assert.equal(threadAccessor(two), undefined, 'one variable or another');
});

test('an access behind an address that a function told', () => {
  const call = [0xe8, 0xfb, 0x0f, 0, 0]; // call START + 0x1000
  const load = [0x48, 0x8b, 0x48, 0x30]; // mov rcx, [rax + 0x30]
  const accessor: ThreadAccessor = { start: -0x200, accesses: [] };
  const accessorAt = (address: number) => (address === START + 0x1000 ? accessor : undefined);
  assert.deepEqual(threadAccesses(code(call, load), accessorAt), [
    { offset: -0x1d0, size: 8, read: true, write: false, start: -0x200 },
  ]);
  assert.deepEqual(threadAccesses(code(call, load)), [], 'by another function');
  assert.deepEqual(
    threadAccesses(code(call, call, load), () => undefined),
    [],
  );
});

test('what a jump takes along is known where it leads, unless something else is', () => {
  const load = [0x48, 0x8b, 0x4b, 0x30]; // mov rcx, [rbx + 0x30]
  const offsets = (...parts: readonly (readonly number[])[]) =>
    threadAccesses(code(...parts)).map(({ offset }) => offset);
  assert.deepEqual(offsets(THREAD, VARIABLE, OVER_CLEAR, CLEAR, load), [-0x1d0]);
  assert.deepEqual(offsets(THREAD, VARIABLE, CLEAR, load), []);
  const other = [0x48, 0x8d, 0x98, 0x00, 0xfd, 0xff, 0xff]; // lea rbx, [rax - 0x300]
  const overOther = [0x74, other.length]; // je over it
  assert.deepEqual(offsets(THREAD, VARIABLE, overOther, other, load), [-0x2d0]);
});
