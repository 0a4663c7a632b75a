import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { svma } from '../base/address.ts';
import { limitStores } from './limit-store.ts';
import { mapLookups } from './map-lookup.ts';
import { pointerFlow } from './pointer-flow.ts';
import { slabLookups } from './slab-lookup.ts';

const START = 0x1000;
const codeOf = (hex: string) => ({
  svma: svma(START),
  bytes: Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex')),
});

const RBX = 3;

/** The members of a map at [rbx + 0x98], with one instruction exchanged. */
const MAP = [
  '4883bbb000000000', // cmp qword ptr [rbx + 0xb0], 0
  '7434', //             je end
  '488bbbb8000000', //   mov rdi, [rbx + 0xb8]
  '488bb3c0000000', //   mov rsi, [rbx + 0xc0]
  '4489fa', //           mov edx, r15d
  'e800000000', //       call hash_one
  '488b8b98000000', //   mov rcx, [rbx + 0x98]
  '488b93a0000000', //   mov rdx, [rbx + 0xa0]
  '49f7d8', //           neg r8
  '4f8d0440', //         lea r8, [r8 + 2 * r8]
  '463b7cc1e8', //       cmp r15d, dword ptr [rcx + 8 * r8 - 24]
  '7402', //             je end
  'ebf0', //             jmp to the neg
  'c3',
] as const;
const mapWith = (index: number, instruction: string) =>
  codeOf(MAP.map((one, at) => (at === index ? instruction : one)).join(''));

test('a number is hashed for a map that one register sees all of', () => {
  assert.deepEqual(mapLookups(codeOf(MAP.join('')), 24), [
    { offset: 27, target: START + 32, base: RBX, displacement: 0x98 },
  ]);
});

test('a map with other buckets, members or keys is another one', () => {
  assert.deepEqual(mapLookups(codeOf(MAP.join('')), 32), []);
  assert.deepEqual(mapLookups(mapWith(0, '4883bba800000000'), 24), [], 'no look at the number of items');
  assert.deepEqual(mapLookups(mapWith(3, '488bb3c8000000'), 24), [], 'the second key is elsewhere');
  assert.deepEqual(mapLookups(mapWith(6, '488b8b90000000'), 24), [], 'the control bytes are elsewhere');
  assert.deepEqual(mapLookups(mapWith(4, '4889fb9090'), 24), [], 'rbx is written between');
});

const SLAB = `410fb64614 493986e8010000 7623 4d8ba6e0010000 4869c048010000 41833c040274 0e4901c4 41398c242c010000
  7501 c3 cc`;

test('an entry of a slab behind a lock has the number of its key', () => {
  assert.deepEqual(slabLookups(codeOf(SLAB)), [
    { offset: 46, number: 1, base: 14, lock: 16, exits: [49, 49] },
  ]);
  assert.deepEqual(slabLookups(codeOf(SLAB.slice(10))), [], 'no lock');
  // The last comparison leaves to another place than those before.
  assert.deepEqual(slabLookups(codeOf(SLAB.replace('7501 c3 cc', '7500 c3 cc'))), []);
});

const LIMIT = `410fb64014 84c0 751e 8b8c2480020000 413b8800010000 48895c2418 7601 c3 41898800010000 c3 cc`;

test('a limit behind a lock becomes the number it was compared with', () => {
  assert.deepEqual(limitStores(codeOf(LIMIT)), [{ offset: 28, number: 1, base: 8, lock: 16, exits: [39] }]);
  assert.deepEqual(
    limitStores(codeOf(LIMIT.replace('41898800010000', '41898804010000'))),
    [],
    'another word',
  );
  assert.deepEqual(
    limitStores(codeOf(LIMIT.replace('41898800010000', '41899000010000'))),
    [],
    'another number',
  );
  assert.deepEqual(limitStores(codeOf(LIMIT.replace('410fb64014', '410fb64114'))), [], 'another lock');
});

/** A match with two arms, of which only the first changes rbx. */
const MATCH = codeOf('4889fb 488d1500100000 4863048a 4801d0 ffe0 4889f3 488b4308 c3 488b4310 c3');
const TABLE = START + 0x100a;
const ARMS = [0x13, 0x1b];

function loads(readWord: (address: number) => number | undefined) {
  const found: string[] = [];
  pointerFlow(
    MATCH,
    ({ memory, instruction }) => {
      if (memory) found.push(`${instruction.offset}: ${memory.base} + ${memory.displacement}`);
    },
    readWord,
  );
  return found.filter((text) => !text.startsWith('10:'));
}

test('arms of a match are reached by its table alone', () => {
  const table = (address: number) => {
    const arm = ARMS[(address - TABLE) / 4];
    return arm === undefined ? undefined : (START + arm - TABLE) >>> 0;
  };
  assert.deepEqual(loads(table), ['22: rsi + 8', '27: rdi + 16']);
});

test('any code gives sites inside it, or none', () => {
  const property = fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    const code = { svma: svma(START), bytes };
    const found = [...mapLookups(code, 24), ...slabLookups(code), ...limitStores(code)];
    for (const { offset } of found) assert.ok(offset >= 0 && offset < bytes.length);
    pointerFlow(
      code,
      () => {},
      (address) => (address * 7) >>> 0,
    );
  });
  fc.assert(property, { numRuns: 300 });
});
