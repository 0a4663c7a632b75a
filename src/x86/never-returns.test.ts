import assert from 'node:assert/strict';
import { test } from 'node:test';
import { svma } from '../base/address.ts';
import { neverReturns } from './never-returns.ts';

const code = (...parts: readonly (readonly number[])[]) => ({
  svma: svma(0x1000),
  bytes: Uint8Array.from(parts.flat()),
});

const PUSH = [0x50]; // push rax
const CALL = [0xe8, 0, 1, 0, 0];
const TRAP = [0x0f, 0x0b]; // ud2
const RET = [0xc3];

test('a function that panics has no way out but calls', () => {
  assert.equal(neverReturns(code(PUSH, CALL)), true);
  assert.equal(neverReturns(code(PUSH, CALL, TRAP)), true);
  assert.equal(neverReturns(code([0x74, 0x05], CALL, CALL)), true, 'two panics');
});

test('others have', () => {
  assert.equal(neverReturns(code(PUSH, CALL, RET)), false);
  assert.equal(neverReturns(code(CALL, [0xe9, 0, 1, 0, 0])), false, 'a jump to another function');
  assert.equal(neverReturns(code(CALL, [0xff, 0xe0])), false, 'jmp rax');
  assert.equal(neverReturns(code(PUSH, TRAP)), false, 'nothing that could panic');
  assert.equal(neverReturns(code(CALL, [0x06])), false, 'no instruction');
});
