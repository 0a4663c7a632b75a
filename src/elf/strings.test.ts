import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findStrings, stringAt } from './strings.ts';

const find = (table: string, ...needles: readonly string[]) => {
  const bytes = Buffer.from(table, 'latin1');
  const found: string[] = [];
  findStrings(
    bytes,
    needles.map((needle) => Buffer.from(needle)),
    (start, end) => {
      found.push(bytes.toString('latin1', start, end));
    },
  );
  return found;
};

test('finds the strings that hold every needle, in order', () => {
  const table = '\0hyper_parse\0parse_hyper_parse\0hyper\0parse\0';
  assert.deepEqual(find(table, 'hyper', 'parse'), ['hyper_parse', 'parse_hyper_parse']);
  assert.deepEqual(find(table, 'hyper'), ['hyper_parse', 'parse_hyper_parse', 'hyper']);
  assert.deepEqual(find(table, 'nothing'), []);
});

test('without needles every string is found', () => {
  assert.deepEqual(find('\0a\0\0bc\0'), ['a', 'bc']);
});

test('equals a search that splits the table', () => {
  const table = fc
    .array(fc.string({ unit: fc.constantFrom('a', 'b', '\0'), maxLength: 12 }))
    .map((parts) => parts.join('\0'));
  const needle = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 3 });
  fc.assert(
    fc.property(table, fc.array(needle, { maxLength: 3 }), (text, needles) => {
      const expected = text
        .split('\0')
        .filter((name) => name !== '' && needles.every((part) => name.includes(part)));
      assert.deepEqual(find(text, ...needles), expected);
    }),
  );
});

test('a string that does not end is undefined', () => {
  assert.equal(stringAt(Buffer.from('ab\0cd'), 1), 'b');
  assert.equal(stringAt(Buffer.from('ab\0cd'), 3), undefined);
  assert.equal(stringAt(Buffer.from('ab\0cd'), 5), undefined);
});
