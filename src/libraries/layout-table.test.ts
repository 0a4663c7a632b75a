import assert from 'node:assert/strict';
import test from 'node:test';
import { lookUp } from './layout-table.ts';

const row = (version: string, rustc: string, offset: number) => ({ version, rustc, features: '', offset });
const rows = [
  row('0.14.15', '1.95.0', 8),
  row('0.14.16', '1.95.0', 24),
  row('0.14.30', '1.75.0', 24),
  row('0.14.30', '1.95.0', 24),
  row('1.3.1', '1.75.0', 40),
  row('1.3.1', '1.95.0', 41),
  row('1.9.0', '1.95.0', 48),
];
const ask = (version: string | undefined, rustc: string | undefined, table = rows) =>
  lookUp({ library: 'lib', version, rustc, rows: table, pick: ({ offset }) => offset });

test('the row of the version and compiler', () => {
  assert.deepEqual(ask('0.14.16', '1.95.0'), { value: 24, evidence: 'lib 0.14.16, rustc 1.95.0' });
  assert.deepEqual(ask('1.3.1', '1.75.0'), { value: 40, evidence: 'lib 1.3.1, rustc 1.75.0' });
});

test('neighbours that agree, versions and compilers', () => {
  assert.deepEqual(ask('0.14.20', '1.95.0'), {
    value: 24,
    evidence: 'between lib 0.14.16 and 0.14.30, which agree, rustc 1.95.0',
  });
  assert.deepEqual(ask('0.14.30', '1.80.0'), {
    value: 24,
    evidence: 'lib 0.14.30, rustc 1.75.0 and 1.95.0 agree',
  });
});

test('neighbours that differ: the nearer, and the evidence says so', () => {
  assert.deepEqual(ask('1.8.0', '1.95.0'), {
    value: 48,
    evidence: 'nearest of lib 1.3.1 and 1.9.0, which differ: 1.9.0, rustc 1.95.0',
  });
  assert.deepEqual(ask('1.3.1', '1.90.0'), { value: 41, evidence: 'lib 1.3.1, nearest rustc 1.95.0' });
});

test('beyond the ends of the table', () => {
  assert.deepEqual(ask('1.20.0', '1.95.0'), { value: 48, evidence: 'nearest: lib 1.9.0, rustc 1.95.0' });
  assert.deepEqual(ask('0.14.1', undefined), {
    value: 8,
    evidence: 'nearest: lib 0.14.15, rustc unknown, taken as 1.95.0',
  });
});

test('no answer across compatible lines, or without a version where versions differ', () => {
  assert.deepEqual(ask('0.13.0', '1.95.0'), { missing: 'the layout of lib 0.13.0 is not known' });
  assert.deepEqual(ask('0.14', '1.95.0'), { missing: 'the layout of lib 0.14 is not known' });
  assert.deepEqual(ask(undefined, '1.95.0'), {
    missing: 'the version of lib is not known, and its layouts differ',
  });
  assert.deepEqual(ask(undefined, undefined, rows.slice(1, 4)), {
    value: 24,
    evidence: 'the same in all lib versions measured',
  });
});

test("members that the program's DWARF has go before the table, which gives the rest", () => {
  const table = rows.map((one) => ({ ...one, other: one.offset + 1 }));
  const both = (version: string, measured: Readonly<Record<string, number>>) =>
    lookUp({
      library: 'lib',
      version,
      rustc: '1.95.0',
      rows: table,
      pick: ({ offset, other }) => [offset, other],
      measured,
    });
  assert.deepEqual(both('0.14.16', { offset: 100 }), {
    value: [100, 25],
    evidence: 'DWARF for 1 members, else lib 0.14.16, rustc 1.95.0',
  });
  assert.deepEqual(both('0.14.16', { offset: 100, other: 7 }), { value: [100, 7], evidence: 'DWARF' });
  assert.deepEqual(both('9.0.0', { offset: 100, other: 7 }), { value: [100, 7], evidence: 'DWARF' });
  assert.deepEqual(both('9.0.0', { offset: 100 }), { missing: 'the layout of lib 9.0.0 is not known' });
});
