import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openKernel } from './open-kernel.ts';
import { kernelOptions, needsUprobes, startTarget } from './test-support.ts';

/** `fill` reserves 1000 records a call, of 48 bytes with header, and discards each 16th. */
const RECORD_BYTES = 48;
const PER_CALL = 1000;
const KEPT_PER_CALL = 938;

test('records come in order, discarded ones are skipped, limits hold', async (t) => {
  if (!needsUprobes(t)) return;
  await using target = await startTarget();
  using kernel = openKernel(kernelOptions(['fill']));
  using _link = kernel.attachUprobes('fill', target.path, [target.first]);
  await target.call(Buffer.from([1]));
  assert.equal(kernel.ring.pending(), PER_CALL * RECORD_BYTES);
  const seen: number[] = [];
  const collect = (view: DataView, bytes: Buffer, at: number, length: number) => {
    assert.equal(length, 40);
    assert.equal(bytes.readUInt32LE(at), view.getUint32(at, true));
    seen.push(view.getUint32(at, true));
  };
  assert.equal(kernel.ring.drain(collect, 0), 0);
  assert.equal(kernel.ring.drain(collect, 100), 100);
  assert.equal(kernel.ring.drain(collect, 1e6), KEPT_PER_CALL - 100);
  assert.equal(kernel.ring.drain(collect, 1e6), 0);
  assert.equal(kernel.ring.pending(), 0);
  assert.deepEqual(
    seen,
    Array.from({ length: PER_CALL }, (_, index) => index).filter((index) => index % 16 !== 15),
  );
});

test('a ring smaller than the traffic wraps many times without loss while it is read', async (t) => {
  if (!needsUprobes(t)) return;
  await using target = await startTarget();
  using kernel = openKernel(kernelOptions(['fill']));
  using _link = kernel.attachUprobes('fill', target.path, [target.first]);
  let expected = 0n;
  for (let round = 0; round < 200; round += 1) {
    await target.call(Buffer.from([1]));
    let index = 0n;
    const handled = kernel.ring.drain((view, _bytes, at) => {
      if (index % 16n === 15n) index += 1n;
      assert.equal(view.getBigUint64(at, true), index);
      assert.equal(view.getBigUint64(at + 8, true), expected + index);
      index += 1n;
    }, 1e6);
    assert.equal(handled, KEPT_PER_CALL);
    expected += BigInt(PER_CALL);
  }
});

test('a full ring loses the new records, keeps the old ones, and recovers', async (t) => {
  if (!needsUprobes(t)) return;
  await using target = await startTarget();
  using kernel = openKernel(kernelOptions(['fill'], { ringSize: 4096 }));
  using _link = kernel.attachUprobes('fill', target.path, [target.first]);
  await target.call(Buffer.from([1, 2, 3]));
  let last = -1;
  const handled = kernel.ring.drain((view, _bytes, at) => {
    last = view.getUint32(at, true);
  }, 1e6);
  assert.equal(last, 84, 'floor(4096 / 48) = 85 records fit; one byte always stays free');
  assert.equal(handled, 80);
  await target.call(Buffer.from([4]));
  assert.equal(
    kernel.ring.drain(() => {}, 1e6),
    80,
  );
});

test('a handler that throws loses its record only', async (t) => {
  if (!needsUprobes(t)) return;
  await using target = await startTarget();
  using kernel = openKernel(kernelOptions(['fill']));
  using _link = kernel.attachUprobes('fill', target.path, [target.first]);
  await target.call(Buffer.from([1]));
  const fail = () => {
    throw new Error('handler');
  };
  assert.throws(() => kernel.ring.drain(fail, 10), /^Error: handler$/);
  assert.equal(
    kernel.ring.drain(() => {}, 1e6),
    KEPT_PER_CALL - 1,
  );
});
