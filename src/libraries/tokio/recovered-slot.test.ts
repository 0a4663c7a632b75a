import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crate, factsWith, functionAt } from '../../plan/facts-for-tests.ts';
import type { ThreadWord } from '../../recover/recogniser.ts';
import { recoveredSlot } from './recovered-slot.ts';

const facts = factsWith({
  crates: [crate('tokio', '1.54.1')],
  functions: { 'tokio.multi_thread': [functionAt('worker', 0x6000)] },
});

/** The Context of Tokio 1.54 with its scheduler: the id 48 bytes in it, and behind its 72 whether it is alive. */
const START = -0x90;
const word = (parts: Partial<ThreadWord> = {}): ThreadWord => ({
  offset: START + 48,
  bytes: [START + 72],
  starts: [START],
  ...parts,
});

function slot(...words: readonly ThreadWord[]) {
  const found = recoveredSlot(facts, words);
  return 'missing' in found ? undefined : [found.value.threadPointerOffset, found.value.idOffset];
}

test('a Context that begins where a function says', () => {
  assert.deepEqual(slot(word()), [START, 48]);
  assert.deepEqual(slot(word({ starts: [] })), [START, 48], 'where none says it');
});

test('what begins elsewhere, or has no byte behind it, is another variable', () => {
  assert.equal(slot(word({ starts: [START - 8] })), undefined);
  assert.equal(slot(word({ starts: [START, START - 8] })), undefined, 'functions that do not agree');
  assert.equal(slot(word({ bytes: [] })), undefined);
  assert.deepEqual(
    slot(word(), word({ offset: START - 8, starts: [] })),
    [START, 48],
    'beside the right one',
  );
});
