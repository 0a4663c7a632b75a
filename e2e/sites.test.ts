import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measureCell } from '../bench/sites/cell.ts';
import { cellText, totalsOf } from '../bench/sites/report.ts';
import { matrixCell } from './support/built.ts';

for (const stack of ['new', 'old'] as const) {
  for (const cell of ['fat-lto', 'opt-s'])
    test(`${stack} stack, ${cell}, with symbols and stripped: no wrong site, a source for each datum`, async () => {
      const result = await measureCell({ stack, cell, ...matrixCell(stack, cell) });
      assert.deepEqual(result.dwarfLayouts.wrong, []);
      assert.equal(totalsOf([result.named, result.strippedTwin]).wrong, 0, cellText(result));
      const without = [result.named, result.strippedTwin].flatMap(({ sources }) =>
        sources.filter(({ source }) => source === 'none'),
      );
      assert.deepEqual(without, [], 'a source for each datum');
    });
}
