import assert from 'node:assert/strict';
import { test } from 'node:test';
import { latenessProblems, timeDifferences } from './expect.ts';
import type { LoadRecord } from './load.ts';
import type { Span } from './otlp.ts';

const MS = 1_000_000n;

/** A request that is answered at 1 s, and its span that ends so much later. */
function answered(lateNs: bigint): readonly [Span, LoadRecord] {
  const record = { id: 'a', status: 200, startNs: '0', endNs: '1000000000' } as LoadRecord;
  return [{ startNs: 0n, endNs: 1_000n * MS + lateNs } as Span, record];
}

const many = (count: number, lateNs: bigint) => Array.from({ length: count }, () => answered(lateNs));

test('a span may end late by two clocks, and by what a scheduler lets a thread wait', () => {
  assert.deepEqual(timeDifferences(...answered(4n * MS)), []);
  assert.deepEqual(timeDifferences(...answered(90n * MS)), []);
  assert.deepEqual(timeDifferences(...answered(110n * MS)), ['it ends 110000000 ns after the response']);
});

test('few spans may end late', () => {
  assert.deepEqual(latenessProblems([...many(9_990, 4n * MS), ...many(10, 20n * MS)]), []);
  assert.equal(latenessProblems([...many(9_989, 4n * MS), ...many(11, 20n * MS)]).length, 11);
});
