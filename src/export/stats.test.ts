import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COUNTERS, emptyStats, exportLosses } from './stats.ts';

test('every loss has a name of its own for the status line', () => {
  const stats = emptyStats();
  const { lastError, ...counters } = { ...stats, droppedQueueFull: 3, rejected: 2, exported: 7 };
  assert.equal(lastError, undefined);
  assert.deepEqual(Object.keys(counters).sort(), Object.keys(COUNTERS).sort());
  assert.deepEqual(exportLosses(counters), [
    { name: 'queue full', count: 3 },
    { name: 'export failed', count: 0 },
    { name: 'rejected', count: 2 },
    { name: 'not printed', count: 0 },
  ]);
});
