import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { exact, renderStatus, type StatusSnapshot, short } from './status.ts';

const busy: StatusSnapshot = {
  programs: 3,
  spansPerSecond: 104_233,
  open: 64,
  exported: 12_345_678,
  queued: 8_192,
  losses: [
    { name: 'ring-full', count: 12 },
    { name: 'head-cut', count: 0 },
    { name: 'queue-full', count: 1_234_567 },
  ],
};
const quiet: StatusSnapshot = { ...busy, programs: 1, losses: [] };

test('everything in full where there is room', () => {
  assert.equal(
    renderStatus(busy, 119, false),
    '3 programs · 104,233 spans/s · 64 open · 12,345,678 exported · 8,192 queued · lost: queue-full 1,234,567, ring-full 12',
  );
  assert.equal(
    renderStatus(quiet, 79, false),
    '1 program · 104,233 spans/s · 64 open · 12,345,678 exported · 8,192 queued',
  );
});

test('losses stay when space is short', () => {
  assert.equal(
    renderStatus(busy, 79, false),
    '104k spans/s · 12.3M exported · lost: queue-full 1.23M, ring-full 12',
  );
  assert.equal(
    renderStatus(busy, 64, false),
    '104k spans/s · 12.3M exported · lost: queue-full 1.23M, +1 more',
  );
  assert.equal(renderStatus(busy, 45, false), '104k spans/s · 12.3M exported · lost: 1.23M');
});

test('a line never exceeds its width and never hides that something was lost', () => {
  const count = fc.integer({ min: 0, max: 1e12 });
  const snapshot = fc.record({
    programs: fc.integer({ min: 0, max: 999 }),
    spansPerSecond: count,
    open: count,
    exported: count,
    queued: count,
    losses: fc.array(fc.record({ name: fc.string({ minLength: 1, maxLength: 20 }), count })),
  });
  fc.assert(
    fc.property(snapshot, fc.integer({ min: 0, max: 200 }), (status, columns) => {
      const line = renderStatus(status, columns, false);
      assert(line.length <= columns);
      const lost = status.losses.some((loss) => loss.count > 0);
      if (columns >= 60) assert.equal(/ · lost: /.test(line), lost);
    }),
  );
});

test('colour adds nothing but escape sequences', () => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is removed
  const uncoloured = renderStatus(busy, 119, true).replaceAll(/\x1b\[\d*m/g, '');
  assert.equal(uncoloured, renderStatus(busy, 119, false));
  assert.notEqual(renderStatus(busy, 119, true), uncoloured);
});

test('numbers', () => {
  assert.deepEqual([0, 999, 1000, 1234567].map(exact), ['0', '999', '1,000', '1,234,567']);
  assert.deepEqual([0, 999, 1000, 1239, 12_345, 999_999, 1_000_000, 123e9, 5e15].map(short), [
    '0',
    '999',
    '1.00k',
    '1.23k',
    '12.3k',
    '999k',
    '1.00M',
    '123G',
    '5000T',
  ]);
});
