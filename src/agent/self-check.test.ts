import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileOffset, svma } from '../base/address.ts';
import type { CheckEvent } from '../events/events.ts';
import { DOUBT } from '../events/layout.ts';
import type { ProbeSite } from '../plan/plan.ts';
import { evidenceOf, judge, placeOf, placeOfSlot } from './self-check.ts';

const HIT = { doubt: DOUBT.POINTER, score: 0, wrong: 1, odd: 0 } as const;

test('a site is off when it is wrong again and again, and not often right', () => {
  assert.equal(judge(HIT), 'wait');
  assert.equal(judge({ ...HIT, wrong: 3 }), 'wait');
  assert.equal(judge({ ...HIT, wrong: 4 }), 'off');
  assert.equal(judge({ ...HIT, wrong: 4, score: 15 }), 'off');
  assert.equal(judge({ ...HIT, wrong: 400, score: 16 }), 'wait');
});

test('what a wrong task slot leads to is a wrong parent: twice is enough', () => {
  for (const doubt of [DOUBT.TASK_MOVED, DOUBT.TASK_KEPT]) {
    assert.equal(judge({ ...HIT, doubt }), 'wait');
    assert.equal(judge({ ...HIT, doubt, wrong: 2 }), 'off');
    assert.equal(judge({ ...HIT, doubt, wrong: 2, score: 64 }), 'wait');
  }
  assert.equal(judge({ ...HIT, doubt: DOUBT.TASK, wrong: 2 }), 'wait');
});

test('bytes of a peer are not enough where any were right', () => {
  assert.equal(judge({ ...HIT, doubt: DOUBT.HEAD, wrong: 0, odd: 63 }), 'wait');
  assert.equal(judge({ ...HIT, doubt: DOUBT.HEAD, wrong: 0, odd: 64 }), 'off');
  assert.equal(judge({ ...HIT, doubt: DOUBT.HEAD, wrong: 0, odd: 640, score: 1 }), 'wait');
});

test('missed answers make a hook partial', () => {
  assert.equal(judge({ ...HIT, doubt: DOUBT.UNANSWERED, wrong: 0 }), 'partial');
});

const EVENT: CheckEvent = {
  ...{ timeNs: 0, connection: 0, task: 0, pid: 1, tid: 1, sequence: 0, unanswered: 0, site: 3 },
  ...{ doubt: DOUBT.STATUS, score: 0, wrong: 4, odd: 0, value: 0x3010n, data: Uint8Array.of(0x10, 0x30, 0) },
};

test('the evidence: what was wrong, the value, the bytes, how often', () => {
  assert.equal(evidenceOf(EVENT), 'no status from 100 to 999 (0x3010, bytes 103000; 4 hits)');
  assert.equal(
    evidenceOf({ ...EVENT, doubt: DOUBT.MEMORY, data: new Uint8Array() }),
    'what should be there can not be read (0x3010; 4 hits)',
  );
  assert.equal(evidenceOf({ ...EVENT, doubt: 999 }), 'doubt 999 (0x3010, bytes 103000; 4 hits)');
});

test('each doubt of the kernel side has its words', () => {
  const unexplained = Object.entries(DOUBT).filter(
    ([name, doubt]) => name !== 'UNANSWERED' && evidenceOf({ ...EVENT, doubt }).startsWith('doubt'),
  );
  assert.deepEqual(unexplained, []);
});

test('the place: hook, address, function, what it is known from', () => {
  const site: ProbeSite = {
    ...{ hook: 'hyper.server.encode', program: 'hyper_server_encode', functionName: 'f', functionOffset: 1 },
    ...{ instruction: 'push rbp', cost: 'emulated', evidence: '.symtab symbol, 12 bytes' },
    ...{ svma: svma(0x1001), fileOffset: fileOffset(1) },
  };
  assert.equal(placeOf(site), 'hyper.server.encode at 0x1001 (f+0x1; .symtab symbol, 12 bytes)');
  const slot = {
    threadPointerOffset: -376,
    idOffset: 48,
    tagOffset: undefined,
    tokioVersion: '1',
    evidence: 'e',
  };
  assert.equal(placeOfSlot(slot), "Tokio's task slot at fs-0x148 (e)");
});
