import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { svma } from '../base/address.ts';
import { ARGUMENT_REGISTERS, type ArgumentRegister, FunctionDecoder } from './instruction.ts';
import { prologuePush } from './prologue.ts';
import { chooseSite, type Site } from './site.ts';
import { isPushRegister } from './uprobe.ts';

const code = (hex: string) => ({
  svma: svma(0x1000),
  bytes: Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')),
});

function choose(hex: string, live: readonly ArgumentRegister[], size = code(hex).bytes.length) {
  return chooseSite(code(hex), size, live);
}

test('a push at the entry', () => {
  assert.deepEqual(choose('55 4889e5 c3', ['rdi']), { offset: 0, instruction: 'push rbp', cost: 'emulated' });
});

test('the push behind endbr64', () => {
  assert.deepEqual(choose('f30f1efa 4157 c3', ['rsi']), {
    offset: 4,
    instruction: 'push r15',
    cost: 'emulated',
  });
});

test('a jcc behind instructions that leave the arguments alone', () => {
  // sub rsp,0x28; test rsi,rsi; je +0
  assert.deepEqual(choose('4883ec28 4885f6 7400 c3', ['rsi', 'rdx']), {
    offset: 7,
    instruction: 'je 0x1009',
    cost: 'emulated',
  });
});

test('a write of an argument, also through a part of it, ends the search', () => {
  // sub rsp,8; xor edi,edi; push rbx
  assert.deepEqual(choose('4883ec08 31ff 53 c3', ['rdi']), {
    offset: 0,
    instruction: 'sub rsp, 8',
    cost: 'single-stepped',
  });
  assert.deepEqual(choose('4883ec08 31ff 53 c3', ['rsi']), {
    offset: 6,
    instruction: 'push rbx',
    cost: 'emulated',
  });
  // mov dil,1; push rbx
  assert.deepEqual(choose('40b701 53 c3', ['rdi']), {
    offset: 0,
    instruction: 'mov dil, 1',
    cost: 'single-stepped',
  });
});

test('a direct call counts, what follows it does not', () => {
  assert.deepEqual(choose('31c0 e800000000 53 c3', []), {
    offset: 2,
    instruction: 'call 0x1007',
    cost: 'emulated',
  });
  assert.deepEqual(choose('31c0 ff10 53 c3', []), {
    offset: 0,
    instruction: 'xor eax, eax',
    cost: 'single-stepped',
  });
});

test('no site from the target of a backward jump on', () => {
  // 0: xor eax,eax; 2: nop; 3: dec edi; 5: jne 2; ret
  assert.deepEqual(choose('31c0 90 ffcf 75fb c3', ['rsi']), {
    offset: 0,
    instruction: 'xor eax, eax',
    cost: 'single-stepped',
  });
  // 0: nop; 1: dec edi; 3: jne 0
  assert.deepEqual(choose('90 ffcf 75fb c3', ['rsi']), { reason: 'its first block is the head of a loop' });
});

test('with an indirect jump or an unknown size only the entry and pushes count', () => {
  assert.deepEqual(choose('31c0 90 53 ffe0', []), { offset: 3, instruction: 'push rbx', cost: 'emulated' });
  assert.deepEqual(choose('31c0 90 53 c3', [], 0), { offset: 3, instruction: 'push rbx', cost: 'emulated' });
  assert.deepEqual(choose('31c0 90 53 c3', [], 100), {
    offset: 3,
    instruction: 'push rbx',
    cost: 'emulated',
  });
  assert.deepEqual(choose('31c0 90 53 c3', []), { offset: 2, instruction: 'nop', cost: 'emulated' });
});

test('what the kernel breaks or refuses is no site', () => {
  assert.deepEqual(choose('4990 31c0 c3', []), {
    offset: 2,
    instruction: 'xor eax, eax',
    cost: 'single-stepped',
  });
  assert.deepEqual(choose('6690 c3', []), { offset: 0, instruction: 'xchg ax, ax', cost: 'emulated' });
  for (const refused of ['cc', '0f0b', '667500', '2e7500', 'c5f877', '0f05'])
    assert.ok('reason' in choose(refused, []), refused);
  assert.deepEqual(choose('f0480fc111 53 c3', []), { offset: 5, instruction: 'push rbx', cost: 'emulated' });
});

test('bytes that are no instruction', () => {
  assert.deepEqual(choose('06', []), { reason: 'its byte 0 is not the start of an instruction' });
  assert.deepEqual(choose('', []), { reason: 'no instruction of its first block can be probed' });
});

/** Independent of chooseSite: offsets on the straight path from the entry with what was written before each. */
function straightPath(bytes: Uint8Array): Map<number, ReadonlySet<ArgumentRegister>> {
  using decoder = new FunctionDecoder({ svma: svma(0x1000), bytes });
  const path = new Map<number, ReadonlySet<ArgumentRegister>>();
  let written = new Set<ArgumentRegister>();
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next()) {
    path.set(one.offset, written);
    if (one.flow !== 'straight') break;
    written = new Set([...written, ...decoder.writes()]);
  }
  return path;
}

const common = [
  '55',
  '4157',
  '4883ec28',
  '4889fb',
  '31ff',
  'be01000000',
  '488b06',
  '7402',
  'ebf8',
  'e800000000',
  '90',
  'f30f1efa',
  'c3',
  'ffe0',
];
const likely = fc
  .array(fc.constantFrom(...common), { maxLength: 20 })
  .map((parts) => Uint8Array.from(Buffer.from(parts.join(''), 'hex')));

test('a site is on a boundary of the straight path and no live argument is written before it', () => {
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), likely);
  const property = fc.property(
    bytes,
    fc.subarray([...ARGUMENT_REGISTERS]),
    fc.nat(220),
    (body, live, size) => {
      const site = chooseSite({ svma: svma(0x1000), bytes: body }, size, live) as Partial<Site>;
      if (site.offset === undefined) return;
      const written = straightPath(body).get(site.offset);
      assert.ok(written, `offset ${site.offset} is not on the straight path`);
      assert.deepEqual(
        live.filter((register) => written.has(register)),
        [],
      );
    },
  );
  fc.assert(property, { numRuns: 5000 });
});

test('the push that is seen without a disassembler is what a disassembler sees', () => {
  const property = fc.property(
    fc.uint8Array({ minLength: 1, maxLength: 20 }),
    fc.boolean(),
    (tail, landing) => {
      const bytes = Uint8Array.of(...(landing ? [0xf3, 0x0f, 0x1e, 0xfa] : []), ...tail);
      const push = prologuePush(bytes);
      using decoder = new FunctionDecoder({ svma: svma(0), bytes });
      if (landing) decoder.next();
      const one = decoder.next();
      const isPush = one !== undefined && isPushRegister(one.bytes);
      assert.deepEqual(push, isPush ? { offset: one.offset, instruction: decoder.text() } : undefined);
    },
  );
  fc.assert(property, { numRuns: 3000 });
  for (let register = 0; register < 8; register++) {
    assert.ok(prologuePush(Uint8Array.of(0x50 + register)));
    assert.ok(prologuePush(Uint8Array.of(0x41, 0x50 + register)));
  }
});
