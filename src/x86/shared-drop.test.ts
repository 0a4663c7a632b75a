import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { svma } from '../base/address.ts';
import { argumentFlow } from './argument-flow.ts';
import { sharedDrops } from './shared-drop.ts';

const START = 0x1000;
const code = (...parts: readonly (readonly number[])[]) => ({
  svma: svma(START),
  bytes: Uint8Array.from(parts.flat()),
});
const sizeOf = (...parts: readonly (readonly number[])[]) => parts.flat().length;

const DECREMENT = [0xf0, 0x48, 0xff, 0x08]; // lock dec qword ptr [rax]
const SUBTRACT = [0xf0, 0x48, 0x83, 0x28, 0x01]; // lock sub qword ptr [rax], 1
const MEMBER = [0x48, 0x8d, 0x7b, 0x08]; // lea rdi, [rbx + 8]
const CALL = [0xe8, 0, 1, 0, 0]; // call the next instruction + 0x100
const SLOT_JUMP = [0xff, 0x25, 0, 2, 0, 0]; // jmp [rip + 0x200]
const POP = [0x5b];
const RET = [0xc3];

test('what the last holder calls, behind a jump over it or where a jump leads', () => {
  const over = [0x75, sizeOf(MEMBER, CALL)]; // jne
  const behind = START + sizeOf(DECREMENT, over, MEMBER, CALL);
  assert.deepEqual(sharedDrops(code(DECREMENT, over, MEMBER, CALL, RET)), [behind + 0x100]);
  const to = [0x74, sizeOf(RET)]; // je
  const far = START + sizeOf(SUBTRACT, to, RET, MEMBER, CALL);
  assert.deepEqual(sharedDrops(code(SUBTRACT, to, RET, MEMBER, CALL)), [far + 0x100]);
});

test('also by a jump that ends the function', () => {
  const over = [0x75, sizeOf(MEMBER, POP, SLOT_JUMP)];
  const slot = START + sizeOf(DECREMENT, over, MEMBER, POP, SLOT_JUMP) + 0x200;
  assert.deepEqual(sharedDrops(code(DECREMENT, over, MEMBER, POP, SLOT_JUMP, RET)), [slot]);
});

test('other calls are none', () => {
  const plain = [0x48, 0xff, 0x08]; // dec qword ptr [rax]
  assert.deepEqual(sharedDrops(code(plain, MEMBER, CALL)), []);
  assert.deepEqual(sharedDrops(code(CALL, DECREMENT, RET)), []);
  const two = [0xf0, 0x48, 0x83, 0x28, 0x02]; // lock sub qword ptr [rax], 2
  assert.deepEqual(sharedDrops(code(two, CALL)), []);
  const away = [0xeb, sizeOf(CALL)]; // jmp
  assert.deepEqual(sharedDrops(code(DECREMENT, away, CALL, RET)), [], 'behind another jump');
});

test('members that are handed on, by calls and by the jump that ends the function', () => {
  const keep = [0x48, 0x89, 0xfb]; // mov rbx, rdi
  const add = [0x48, 0x83, 0xc3, 0x08]; // add rbx, 8
  const give = [0x48, 0x89, 0xdf]; // mov rdi, rbx
  const { members, passed } = argumentFlow(code(keep, add, give, CALL, give, SLOT_JUMP));
  const call = START + sizeOf(keep, add, give, CALL) + 0x100;
  const jump = START + sizeOf(keep, add, give, CALL, give, SLOT_JUMP) + 0x200;
  const member = { argument: 'rdi', displacement: 8, as: 'rdi' } as const;
  assert.deepEqual(members, [
    { ...member, target: call },
    { ...member, target: jump },
  ]);
  assert.equal(
    passed.some(({ as }) => as === 'rdi'),
    false,
    'the argument itself is not handed on',
  );
});

test('any bytes are taken', () => {
  const parts = fc.constantFrom(
    DECREMENT,
    SUBTRACT,
    MEMBER,
    CALL,
    SLOT_JUMP,
    RET,
    [0x75, 4],
    [0x74, 0xf0],
    [0x0f],
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(parts, { maxLength: 40 }).map((some) => Uint8Array.from(some.flat())),
  );
  fc.assert(
    fc.property(bytes, (some) => {
      for (const target of sharedDrops({ svma: svma(START), bytes: some }))
        assert.ok(Number.isInteger(target));
    }),
  );
});
