import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { svma } from '../base/address.ts';
import { addSites } from './atomic-add.ts';
import { FunctionDecoder } from './instruction.ts';

const START = 0x1000;
const COUNTER = { svma: 0x9000, pointers: [0x8000] };

/** Bytes of one instruction with a displacement from its end to an address, or plain bytes. */
type Part = readonly number[] | { readonly opcode: readonly number[]; readonly to: number };

function code(...parts: readonly Part[]) {
  const bytes: number[] = [];
  for (const part of parts) {
    if (!('opcode' in part)) {
      bytes.push(...part);
      continue;
    }
    const end = START + bytes.length + part.opcode.length + 4;
    const displacement = Buffer.alloc(4);
    displacement.writeInt32LE(part.to - end);
    bytes.push(...part.opcode, ...displacement);
  }
  return { svma: svma(START), bytes: Uint8Array.from(bytes) };
}

const load = (to: number): Part => ({ opcode: [0x48, 0x8b, 0x05], to }); // mov rax, [rip + …]
const address = (to: number): Part => ({ opcode: [0x48, 0x8d, 0x05], to }); // lea rax, [rip + …]
const ONE = [0xb9, 1, 0, 0, 0]; // mov ecx, 1
const ADD = [0xf0, 0x48, 0x0f, 0xc1, 0x08]; // lock xadd [rax], rcx
const TEST = [0x48, 0x85, 0xc9]; // test rcx, rcx
const AGAIN = [0x74, 0xf1]; // je to ONE
const RET = [0xc3];
const CALL = [0xe8, 0, 0, 0, 0];

const found = (...parts: readonly Part[]) => addSites(code(...parts), COUNTER);

test('a counter behind the global offset table, drawn again when 0', () => {
  assert.deepEqual(found(load(0x8000), ONE, ADD, TEST, AGAIN, RET), [
    { offset: 20, instruction: 'je 0x1007', cost: 'emulated', register: 1 },
  ]);
});

test('a counter whose address is in the code, with and without a register', () => {
  assert.equal(found(address(0x9000), ONE, ADD, TEST, AGAIN, RET).length, 1);
  const direct: Part = { opcode: [0xf0, 0x4c, 0x0f, 0xc1, 0x1d], to: 0x9000 }; // lock xadd [rip + …], r11
  assert.deepEqual(found(direct, [0x4d, 0x85, 0xdb], [0x74, 0x00], RET), [
    { offset: 12, instruction: 'je 0x100e', cost: 'emulated', register: 11 },
  ]);
});

test('without a check for 0: the next emulated instruction that still has the value', () => {
  const keep = [0x49, 0x89, 0xcc]; // mov r12, rcx
  const clobber = [0x31, 0xc9]; // xor ecx, ecx
  assert.deepEqual(found(load(0x8000), ONE, ADD, keep, clobber, CALL, RET), [
    { offset: 22, instruction: 'call 0x101b', cost: 'emulated', register: 12 },
  ]);
});

test('no emulated instruction in time: the one right behind', () => {
  const store = [0x48, 0x89, 0x0c, 0x24]; // mov [rsp], rcx
  assert.deepEqual(found(load(0x8000), ONE, ADD, store, [0x31, 0xc9], CALL, RET), [
    { offset: 17, instruction: 'mov [rsp], rcx', cost: 'single-stepped', register: 1 },
  ]);
});

test('a jump that joins behind the addition keeps the site before it', () => {
  const store = [0x48, 0x89, 0x0c, 0x24];
  const join = [0x74, 0xf8]; // je behind the store
  assert.deepEqual(
    found(load(0x8000), ONE, ADD, store, CALL, RET, join).map((site) => 'offset' in site && site.offset),
    [17],
  );
});

test('other counters, other registers and other widths are not taken', () => {
  assert.deepEqual(found(load(0x8008), ONE, ADD, TEST, AGAIN, RET), []);
  assert.deepEqual(found(address(0x8000), ONE, ADD, TEST, AGAIN, RET), []);
  assert.deepEqual(found(load(0x9000), ONE, ADD, TEST, AGAIN, RET), []);
  assert.deepEqual(found(load(0x8000), CALL, ADD, RET), [], 'a call changes rax');
  assert.deepEqual(found(load(0x8000), [0x48, 0x31, 0xc0], ADD, RET), [], 'xor rax, rax');
  assert.deepEqual(found(load(0x8000), [0xf0, 0x48, 0x0f, 0xc1, 0x48, 8], RET), [], 'the word behind it');
  assert.deepEqual(found(load(0x8000), [0xf0, 0x0f, 0xc1, 0x08], RET), [], '32 bits');
  assert.deepEqual(found(load(0x8000), [0x48, 0x0f, 0xc1, 0x08], RET), [], 'not locked');
});

test('truncated and random code gives sites on boundaries or none', () => {
  const whole = code(load(0x8000), ONE, ADD, TEST, AGAIN, RET).bytes;
  const bytes = fc.oneof(
    fc.nat(whole.length).map((size) => whole.slice(0, size)),
    fc.uint8Array({ maxLength: 200 }),
    fc
      .array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
      .map((flips) => flips.reduce((all, [at, value]) => all.with(at, value), whole)),
  );
  fc.assert(
    fc.property(bytes, (some) => {
      for (const site of addSites({ svma: svma(START), bytes: some }, COUNTER))
        if ('offset' in site) assert.ok(boundaries(some).has(site.offset));
    }),
    { numRuns: 2000 },
  );
});

function boundaries(bytes: Uint8Array): ReadonlySet<number> {
  using decoder = new FunctionDecoder({ svma: svma(START), bytes });
  const offsets = new Set<number>();
  for (let one = decoder.next(); one; one = decoder.next()) offsets.add(one.offset);
  return offsets;
}
