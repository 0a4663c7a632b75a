import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  callTo,
  loadAddress,
  type Part,
  POP_RBX,
  PUSH_RBX,
  programOf,
  RET,
} from '../../recover/program.testing.ts';
import { nextId, taskWords } from './recover.ts';

/** Two kinds of tasks, and a function that every other word of their vtables points to. */
const POLLS = [0x1000, 0x1100];
const OTHER = 0x1200;
const [SET_ID, ACCESSOR] = [0x1300, 0x1400];
const [DRAW_TASK, DRAW_LIST] = [0x1500, 0x1600];
const SPAWNS = [0x1700, 0x1800];
const BUILD = 0x1900;
const VTABLES = [0x8000, 0x8100];
const [TASK_IDS, LIST_IDS] = [0x9000, 0x9008];

const vtable = (poll: number) => [poll, ...Array.from({ length: 6 }, () => OTHER), 0x100, 32, 0x28];
const DATA = new Map([
  ...POLLS.map((poll, i) => [VTABLES[i] ?? 0, vtable(poll)] as const),
  [TASK_IDS, [1, 1]] as const,
]);

const THREAD: Part = [0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0]; // mov rax, fs:[0]
const VARIABLE: Part = [0x48, 0x8d, 0x98, 0x00, 0xfe, 0xff, 0xff]; // lea rbx, [rax - 0x200]
const ALIVE: Part = [0x64, 0x0f, 0xb6, 0x04, 0x25, 0x48, 0xfe, 0xff, 0xff]; // movzx eax, byte ptr fs:[-0x1b8]
const RESULT: Part = [0x48, 0x89, 0xd8]; // mov rax, rbx
const REPLACE: Part = [0x48, 0x8b, 0x48, 0x30, 0x48, 0x89, 0x58, 0x30]; // mov rcx, [rax + 0x30]; mov [rax + 0x30], rbx

/** `lock xadd [rip + …], rax` of 1. */
const draw = (counter: number): readonly Part[] => [
  [0xb8, 1, 0, 0, 0],
  (at) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(counter - (at + 9));
    return [0xf0, 0x48, 0x0f, 0xc1, 0x05, ...bytes];
  },
  RET,
];

const FUNCTIONS: ReadonlyMap<number, readonly Part[]> = new Map([
  ...POLLS.map((poll) => [poll, [PUSH_RBX, callTo(SET_ID), POP_RBX, RET]] as const),
  [OTHER, [RET]],
  [SET_ID, [PUSH_RBX, callTo(ACCESSOR), REPLACE, POP_RBX, RET]],
  [ACCESSOR, [PUSH_RBX, THREAD, VARIABLE, ALIVE, RESULT, POP_RBX, RET]],
  [DRAW_TASK, draw(TASK_IDS)],
  [DRAW_LIST, draw(LIST_IDS)],
  ...SPAWNS.map((spawn, i) => [spawn, [callTo(DRAW_TASK), loadAddress(VTABLES[i] ?? 0), RET]] as const),
  [BUILD, [callTo(DRAW_LIST), callTo(SPAWNS[0] ?? 0), RET]],
]);

test('the word behind an address that a function tells', () => {
  const { found } = taskWords(programOf(FUNCTIONS, DATA)) as { found: unknown };
  assert.deepEqual(found, [{ offset: -0x1d0, bytes: [-0x1b8], starts: [-0x200] }]);
});

test('a word that one kind of task does not replace is not it', () => {
  const other = new Map([...FUNCTIONS, [POLLS[1] ?? 0, [RET]]]);
  assert.match(JSON.stringify(taskWords(programOf(other, DATA))), /no thread-local word in common/);
});

const counterOf = (functions: ReadonlyMap<number, readonly Part[]>) => {
  const answer = nextId(programOf(functions, DATA));
  return 'reason' in answer ? answer.reason : answer.found.map(({ svma }) => svma);
};

test('of two counters with functions of their own the one of which all kinds of tasks are drawn', () => {
  assert.deepEqual(counterOf(FUNCTIONS), [TASK_IDS]);
});

test('where all kinds are drawn from both, nothing tells', () => {
  const both = new Map([...FUNCTIONS, [BUILD, [callTo(DRAW_LIST), ...SPAWNS.map(callTo), RET]]]);
  assert.equal(counterOf(both), '2 counters are drawn from where tasks are made');
});
