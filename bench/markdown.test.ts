import assert from 'node:assert/strict';
import { test } from 'node:test';
import { replaceResults, table } from './markdown.ts';

test('a table is aligned', () => {
  const text = table(
    ['name', 'µs'],
    [
      ['a', '1.25'],
      ['longer', '10'],
    ],
  );
  assert.deepEqual(text.split('\n'), [
    '| name   |   µs |',
    '| ------ | ---: |',
    '| a      | 1.25 |',
    '| longer |   10 |',
  ]);
});

test('results replace only what is between the markers', () => {
  const document = 'before\n<!-- results: begin -->\nold\n<!-- results: end -->\nafter\n';
  const once = replaceResults(document, 'new');
  assert.equal(once, 'before\n<!-- results: begin -->\n\nnew\n\n<!-- results: end -->\nafter\n');
  assert.equal(replaceResults(once, 'new'), once);
  assert.throws(() => replaceResults('no markers', 'new'), /markers|results/);
});
