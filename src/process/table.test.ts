import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Process, ProcessReading } from './process.ts';
import { type RecordedProcess, recordedSource } from './recorded.ts';
import { ProcessTable } from './table.ts';

type Recorded = RecordedProcess | Exclude<ProcessReading, { kind: 'process' }>;

const recorded = (pid: number, startTicks: number, name = 'shop'): RecordedProcess => ({
  pid,
  startTicks,
  executable: {
    path: `/${name}`,
    name,
    device: 1,
    inode: name.length,
    deleted: false,
    openPath: `/proc/${pid}/exe`,
  },
});
const isShop = (process: Process) => process.executable.name === 'shop';

function setUp() {
  const processes = new Map<number, Recorded>();
  return { processes, table: new ProcessTable(recordedSource(processes), isShop) };
}
const starts = (list: readonly Process[]) => list.map((process) => process.startTicks);

test('refresh finds what started and what ended', () => {
  const { processes, table } = setUp();
  processes
    .set(5, recorded(5, 50))
    .set(6, recorded(6, 60, 'other'))
    .set(7, { kind: 'kernel-thread' });
  assert.deepEqual(starts(table.refresh().started), [50]);
  assert.deepEqual(table.refresh(), { started: [], ended: [] });
  processes.delete(5);
  assert.deepEqual(starts(table.refresh().ended), [50]);
  assert.equal(table.targets.size, 0);
});

test('a reused pid is told apart by start time', () => {
  const { processes, table } = setUp();
  processes.set(5, recorded(5, 50));
  table.refresh();
  processes.set(5, recorded(5, 51));
  const change = table.refresh();
  assert.deepEqual([starts(change.started), starts(change.ended)], [[51], [50]]);
});

test('exec: into a target, out of one, and from a target into itself', () => {
  const { processes, table } = setUp();
  processes.set(5, recorded(5, 50, 'bash'));
  assert.deepEqual(table.onExec(5), { started: [], ended: [] });
  processes.set(5, recorded(5, 50));
  assert.deepEqual(starts(table.onExec(5).started), [50]);
  const again = table.onExec(5);
  assert.deepEqual([starts(again.started), starts(again.ended)], [[50], [50]]);
  processes.set(5, recorded(5, 50, 'bash'));
  const out = table.onExec(5);
  assert.deepEqual([starts(out.started), starts(out.ended)], [[], [50]]);
});

test('an exec event of a process that has gone since', () => {
  const { processes, table } = setUp();
  processes.set(5, recorded(5, 50));
  table.onExec(5);
  processes.delete(5);
  assert.deepEqual(starts(table.onExec(5).ended), [50]);
});

test('a late exit event does not end the next process under the pid', () => {
  const { processes, table } = setUp();
  processes.set(5, recorded(5, 50));
  table.refresh();
  processes.set(5, recorded(5, 51));
  table.refresh();
  assert.deepEqual(table.onExit(5), { started: [], ended: [] });
  processes.set(5, { kind: 'gone' });
  assert.deepEqual(starts(table.onExit(5).ended), [51]);
  assert.deepEqual(table.onExit(5), { started: [], ended: [] });
});

test('starts minus ends is what the table holds, in any history', () => {
  const step = fc.record({
    pid: fc.integer({ min: 1, max: 3 }),
    startTicks: fc.integer({ min: 1, max: 3 }),
    state: fc.constantFrom('shop', 'other', 'gone'),
    call: fc.constantFrom('refresh', 'onExec', 'onExit'),
  });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const { processes, table } = setUp();
      const balance = new Map<string, number>();
      const key = (process: Process) => `${process.pid}@${process.startTicks}`;
      for (const { pid, startTicks, state, call } of steps) {
        processes.set(pid, state === 'gone' ? { kind: 'gone' } : recorded(pid, startTicks, state));
        const change = call === 'refresh' ? table.refresh() : table[call](pid);
        for (const p of change.ended) balance.set(key(p), (balance.get(key(p)) ?? 0) - 1);
        for (const p of change.started) balance.set(key(p), (balance.get(key(p)) ?? 0) + 1);
      }
      const held = [...balance].filter(([, count]) => count !== 0);
      assert(held.every(([, count]) => count === 1));
      assert.deepEqual(held.map(([name]) => name).sort(), [...table.targets.values()].map(key).sort());
    }),
  );
});
