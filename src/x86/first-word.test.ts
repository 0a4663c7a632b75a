import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { svma } from '../base/address.ts';
import { behindFirstWord, comparedFirstWord } from './first-word.ts';

const code = (...parts: readonly (readonly number[])[]) => ({
  svma: svma(0x1000),
  bytes: Uint8Array.from(parts.flat()),
});

const KEEP = [0x49, 0x89, 0xfe]; // mov r14, rdi
const LOAD = [0x49, 0x8b, 0x36]; // mov rsi, [r14]
const CALL = [0xe8, 0, 1, 0, 0];
const BEHIND = [0x48, 0x8b, 0x46, 0x10]; // mov rax, [rsi + 16]

const behind = (...parts: readonly (readonly number[])[]) => [...behindFirstWord(code(...parts), 'rdi')];

test('a pointer that is handed on, or looked behind', () => {
  assert.deepEqual(behind(KEEP, LOAD, CALL), [0]);
  assert.deepEqual(behind(KEEP, LOAD, BEHIND), [16]);
});

test('one that is moved first', () => {
  const add = [0x48, 0x83, 0xc6, 0x10]; // add rsi, 16
  const lea = [0x48, 0x8d, 0x7e, 0x10]; // lea rdi, [rsi + 16]
  assert.deepEqual(behind(KEEP, LOAD, add, CALL), [16]);
  assert.deepEqual(behind(KEEP, LOAD, lea, [0x31, 0xf6], CALL), [16], 'xor esi, esi');
});

test('other words, and what a call does not keep, are none', () => {
  const second = [0x49, 0x8b, 0x76, 0x08]; // mov rsi, [r14 + 8]
  assert.deepEqual(behind(KEEP, second, CALL), []);
  assert.deepEqual(behind(KEEP, CALL, BEHIND), []);
});

test('constants that the first word is compared with', () => {
  const compared = (...parts: readonly (readonly number[])[]) => [
    ...comparedFirstWord(code(...parts), 'rdi'),
  ];
  const state = [0x48, 0x8b, 0x07]; // mov rax, [rdi]
  const one = [0x83, 0xf8, 0x01]; // cmp eax, 1
  const less = [0x48, 0x83, 0xe8, 0x02]; // sub rax, 2
  const three = [0x48, 0x83, 0x3f, 0x03]; // cmp qword ptr [rdi], 3
  assert.deepEqual(compared(state, one), [1]);
  assert.deepEqual(compared(state, less, one), [2], 'what is left is another number');
  assert.deepEqual(compared(three), [3]);
  assert.deepEqual(compared(one), [], 'another register');
  assert.deepEqual(compared([0x48, 0x83, 0x7f, 0x08, 0x03]), [], 'cmp qword ptr [rdi + 8], 3');
});

test('any bytes are taken', () => {
  const parts = fc.constantFrom(KEEP, LOAD, CALL, BEHIND, [0xc3], [0x0f]);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(parts, { maxLength: 40 }).map((some) => Uint8Array.from(some.flat())),
  );
  fc.assert(
    fc.property(bytes, (some) => {
      for (const place of behindFirstWord(code([...some]), 'rdi')) assert.ok(Number.isInteger(place));
      comparedFirstWord(code([...some]), 'rdi');
    }),
  );
});
