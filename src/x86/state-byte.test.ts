import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { svma } from '../base/address.ts';
import { loadSites, pointerArgument } from './address-load.ts';
import { stateByte } from './state-byte.ts';

const code = (...bytes: readonly number[]) => ({ svma: svma(0x1000), bytes: Uint8Array.from(bytes) });
const PROLOGUE = [0x41, 0x56, 0x53, 0x50, 0x48, 0x89, 0xfb]; // push r14; push rbx; push rax; mov rbx, rdi

test('the first byte that drop glue looks at', () => {
  // movzx eax, byte ptr [rdi + 0xab0]; test eax, eax; je
  assert.deepEqual(stateByte(code(...PROLOGUE, 0x0f, 0xb6, 0x87, 0xb0, 0x0a, 0, 0, 0x85, 0xc0, 0x74, 0)), {
    offset: 0xab0,
  });
  // cmp byte ptr [rbx + 0x10], 3
  assert.deepEqual(stateByte(code(...PROLOGUE, 0x80, 0x7b, 0x10, 3, 0x75, 0)), { offset: 0x10 });
});

test('another first access, another pointer or none: not known, with the reason', () => {
  const word = stateByte(code(...PROLOGUE, 0x48, 0x8b, 0x47, 8, 0x0f, 0xb6, 0x47, 0x10));
  assert.deepEqual(word, { reason: 'its first access is mov rax, [rdi+8]' });
  const none = { reason: 'its first instructions look at no byte behind rdi' };
  assert.deepEqual(stateByte(code(0x0f, 0xb6, 0x46, 8, 0xc3)), none, 'behind rsi');
  assert.deepEqual(stateByte(code(0x48, 0x89, 0xf7, 0x0f, 0xb6, 0x47, 8, 0xc3)), none, 'rdi was changed');
  assert.deepEqual(stateByte(code(0xe8, 0, 0, 0, 0, 0x0f, 0xb6, 0x47, 8)), none, 'behind a call');
  assert.deepEqual(stateByte(code()), none);
});

test('the register with the pointer to a large argument', () => {
  assert.equal(pointerArgument(code(0x48, 0x8b, 0x86, 0xf0, 0, 0, 0, 0xc3), 32), 'rsi');
  // mov rbp, rdx; mov rax, [rsi + 8]; mov rax, [rbp + 0x88]
  const copied = [0x48, 0x89, 0xd5, 0x48, 0x8b, 0x46, 8, 0x48, 0x8b, 0x85, 0x88, 0, 0, 0];
  assert.equal(pointerArgument(code(...copied), 32), 'rdx');
  assert.equal(pointerArgument(code(0x48, 0x89, 0xfa, 0x48, 0x8b, 0x82, 0xf0, 0, 0, 0), 32), undefined);
  assert.equal(pointerArgument(code(0xc3), 32), undefined);
});

test('where an address is loaded', () => {
  const bytes = [0x55, 0x48, 0x8d, 0x05, 0x10, 0, 0, 0, 0x48, 0x8d, 0x05, 0x11, 0, 0, 0, 0xc3];
  assert.deepEqual(loadSites(code(...bytes), 0x1018), [
    { offset: 1, instruction: 'lea rax, [0x1018]', cost: 'single-stepped' },
  ]);
  assert.deepEqual(loadSites(code(...bytes), 0x1019), []);
});

test('random code gives an answer', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const some = { svma: svma(0x1000), bytes };
      const state = stateByte(some);
      assert.ok('offset' in state ? state.offset < 0xffff : state.reason.length > 0);
      pointerArgument(some, 32);
      loadSites(some, 0x1010);
    }),
    { numRuns: 2000 },
  );
});
