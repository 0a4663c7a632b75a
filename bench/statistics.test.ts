import assert from 'node:assert/strict';
import { test } from 'node:test';
import { show, spread } from './statistics.ts';

test('median of odd and even counts, and the range', () => {
  assert.deepEqual(spread([3, 1, 2]), { median: 2, least: 1, most: 3 });
  assert.deepEqual(spread([4, 1, 2, 3]), { median: 2.5, least: 1, most: 4 });
  assert.deepEqual(spread([7]), { median: 7, least: 7, most: 7 });
});

test('shown with its range, thousands apart', () => {
  assert.equal(show([1, 2, 3], 1), '2.0 (1.0 … 3.0)');
  assert.equal(show([1234567], 0), '1,234,567');
  assert.equal(show([-1234.5], 1), '-1,234.5');
  assert.equal(show([]), '—');
});
