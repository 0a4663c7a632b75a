import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OpenTable } from './open-table.ts';

const key = fc
  .tuple(fc.oneof(fc.nat(40), fc.integer({ min: 2 ** 39, max: 2 ** 40 })), fc.nat(70))
  .map(([connection, sequence]) => connection * 4096 + sequence);
const step = fc.tuple(fc.constantFrom('set', 'set', 'take', 'get'), key);

test('does what a Map does, whatever the order of calls', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 3000, size: 'max' }), (steps) => {
      const table = new OpenTable<{ n: number }>();
      const model = new Map<number, { n: number }>();
      for (const [index, [call, at]] of steps.entries()) {
        if (call === 'get') assert.equal(table.get(at), model.get(at));
        if (call === 'take') {
          assert.equal(table.take(at), model.get(at));
          model.delete(at);
        }
        if (call === 'set') {
          table.set(at, { n: index });
          model.set(at, table.get(at) ?? assert.fail('what was set is there'));
        }
        assert.equal(table.size, model.size);
      }
      assert.deepEqual(new Map(table.entries()), model);
    }),
    { numRuns: 200 },
  );
});

test('grows to many entries and gives each back', () => {
  const table = new OpenTable<{ n: number }>();
  for (let n = 0; n < 50_000; n++) table.set(n * 4096 + (n % 3), { n });
  assert.equal(table.size, 50_000);
  for (let n = 0; n < 50_000; n++) assert.equal(table.take(n * 4096 + (n % 3))?.n, n);
  assert.equal(table.size, 0);
  assert.deepEqual(table.entries(), []);
});
