import assert from 'node:assert/strict';
import test from 'node:test';
import type { BinaryFacts } from '../../analysis/facts.ts';
import { svma } from '../../base/address.ts';
import { context, crate, factsWith, functionAt } from '../../plan/facts-for-tests.ts';
import { taskSlot } from './task-slot.ts';

const MULTI_THREAD = { 'tokio.multi_thread': [functionAt('worker', 0x6000)] };

function program(version: string, size: number, parts: Partial<BinaryFacts> = {}): BinaryFacts {
  return factsWith({
    crates: [crate('tokio', version)],
    functions: MULTI_THREAD,
    tlsVariables: { 'tokio.context': [context(size)] },
    ...parts,
  });
}

function slot(facts: BinaryFacts) {
  const found = taskSlot(facts);
  if ('missing' in found) return found.missing;
  const { threadPointerOffset, tagOffset, idOffset } = found.value;
  return { threadPointerOffset, tagOffset, idOffset };
}

const rustc = (version: string) => ({ rustc: { version, commit: undefined, evidence: '' } });

test('measured versions: tag and id before 1.40, an id that is never 0 since', () => {
  const base = 0x30 - 0x100;
  assert.deepEqual(slot(program('1.54.1', 80)), {
    threadPointerOffset: base,
    tagOffset: undefined,
    idOffset: 48,
  });
  assert.deepEqual(slot(program('1.36.0', 88)), { threadPointerOffset: base, tagOffset: 32, idOffset: 40 });
});

test("std's storage moves the Context by compiler", () => {
  const base = 0x30 - 0x100;
  // 1.75: the bare value for a const initialiser, else a Key with the value behind its first word.
  assert.deepEqual(slot(program('1.36.0', 80, rustc('1.75.0'))), {
    threadPointerOffset: base,
    tagOffset: 32,
    idOffset: 40,
  });
  assert.deepEqual(slot(program('1.28.2', 112, rustc('1.75.0'))), {
    threadPointerOffset: base,
    tagOffset: 40,
    idOffset: 48,
  });
  // 1.81: lazy storage begins with its state.
  assert.deepEqual(slot(program('1.28.2', 104, rustc('1.81.0'))), {
    threadPointerOffset: base,
    tagOffset: 40,
    idOffset: 48,
  });
});

test('without the multi-thread scheduler the Context is smaller', () => {
  const facts = program('1.54.1', 72, { functions: {} });
  assert.deepEqual(slot(facts), { threadPointerOffset: 0x30 - 0x100, tagOffset: undefined, idOffset: 40 });
});

test('a size that no measured layout has is refused', () => {
  assert.equal(
    slot(program('1.54.1', 96)),
    'CONTEXT is 96 bytes: no measured Tokio near 1.54.1 has that size',
  );
});

test('of a version between two that differ, the size decides', () => {
  assert.deepEqual(slot(program('1.39.9', 80)), {
    threadPointerOffset: 0x30 - 0x100,
    tagOffset: undefined,
    idOffset: 48,
  });
  assert.deepEqual(slot(program('1.39.9', 88)), {
    threadPointerOffset: 0x30 - 0x100,
    tagOffset: 32,
    idOffset: 40,
  });
});

test('the TLS block lies below the thread pointer, aligned as PT_TLS says', () => {
  const at = (address: number, memSize: number, align: number) => {
    const found = slot(program('1.54.1', 80, { tls: { svma: svma(address), memSize, align } }));
    assert.ok(typeof found === 'object');
    return found.threadPointerOffset - 0x30;
  };
  assert.equal(at(0x1000, 0x100, 8), -0x100);
  assert.equal(at(0x1000, 0x101, 8), -0x108);
  assert.equal(at(0x1000, 0x101, 64), -0x140);
  assert.equal(at(0x1000, 0x101, 0), -0x101);
  // p_vaddr ≡ 0x10 (mod 0x40): the block starts at an address ≡ 0x10 below the thread pointer.
  assert.equal(at(0x1010, 0x101, 64), -0x130);
});

test('what has no slot, and why', () => {
  assert.match(String(slot(program('1.54.1', 80, { type: 'shared-object' }))), /shared object/);
  assert.equal(
    slot(program('1.54.1', 80, { tlsVariables: {} })),
    'tokio::runtime::context::CONTEXT has no symbol',
  );
  assert.match(String(slot(program('1.54.1', 80, { crates: [] }))), /version of Tokio is not known/);
  const two = { tlsVariables: { 'tokio.context': [context(80), context(80, 0x90)] } };
  assert.equal(slot(program('1.54.1', 80, two)), 'several versions of Tokio are linked');
  assert.equal(slot(factsWith({})), 'Tokio is not linked');
});
