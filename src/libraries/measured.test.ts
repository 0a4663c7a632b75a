import assert from 'node:assert/strict';
import test from 'node:test';
import type { BinaryFacts, MemberFact, TlsVariableFact } from '../analysis/facts.ts';
import { context, crate, factsWith } from '../plan/facts-for-tests.ts';
import { MEMBER_QUERIES, measured, measuredFacts } from './measured.ts';
import { measuredContext } from './tokio/measured-context.ts';

const fact = (offset: number, size = 8, typeSize = 80): MemberFact => ({ type: 'T', typeSize, offset, size });

const program = (members: Readonly<Record<string, MemberFact>>, ...crates: [string, string][]): BinaryFacts =>
  factsWith({ members, crates: crates.map(([name, version]) => crate(name, version)) });

test('every question has a type and an id of its own', () => {
  assert.ok(MEMBER_QUERIES.length > 60);
  assert.equal(new Set(MEMBER_QUERIES.map(({ id }) => id)).size, MEMBER_QUERIES.length);
  assert.ok(MEMBER_QUERIES.every(({ types }) => types.length > 0));
});

test('members of a table by their names there: places, and sizes where the table has sizes', () => {
  const facts = program({
    'http.layouts.entrySize': fact(0, 104),
    'http.layouts.entryName': fact(72),
    'h2.x': fact(1),
  });
  assert.deepEqual(measured(facts, 'http'), { entrySize: 104, entryName: 72 });
  assert.deepEqual(Object.keys(measuredFacts(facts, 'hyper', 'client-layouts')), []);
});

test('two versions of a crate: types of the same names, so nothing is taken', () => {
  const members = { 'http.layouts.entryName': fact(72) };
  assert.deepEqual(measured(program(members, ['http', '1.5.0']), 'http'), { entryName: 72 });
  assert.deepEqual(measured(program(members, ['http', '1.5.0'], ['http', '0.2.12']), 'http'), {});
});

const STORAGE =
  'tokio.layouts.std::sys::thread_local::native::eager::Storage<tokio::runtime::context::Context>';
const KEY = 'tokio.layouts.std::sys::thread_local::fast_local::Key<tokio::runtime::context::Context>';

function slot(size: number, members: Readonly<Record<string, MemberFact>>) {
  const variable: TlsVariableFact = context(size);
  return measuredContext(program({ 'tokio.layouts.context': fact(0, 72, 72), ...members }), variable);
}

test("Tokio's task id: in the Context, in the storage that is as large as the variable", () => {
  const niche = { 'tokio.layouts.taskId': fact(48), 'tokio.layouts.taskIdOption': fact(48) };
  const storages = { [STORAGE]: fact(0, 72, 80), [KEY]: fact(8, 72, 88) };
  assert.deepEqual(slot(80, { ...niche, ...storages }), { tagOffset: undefined, idOffset: 48 });
  assert.deepEqual(slot(88, { ...niche, ...storages }), { tagOffset: undefined, idOffset: 56 });
  assert.equal(slot(96, { ...niche, ...storages }), undefined, 'no storage of that size');
  assert.equal(slot(80, storages), undefined, 'no id');
  assert.equal(
    slot(80, { ...niche, [STORAGE]: fact(0, 72, 80), [KEY]: fact(8, 72, 80) }),
    undefined,
    'two fit',
  );
});

test('an id with a tag in front of it, or behind', () => {
  const storages = { [STORAGE]: fact(8, 72, 80) };
  const front = { 'tokio.layouts.taskId': fact(40), 'tokio.layouts.taskIdOption': fact(32, 16) };
  assert.deepEqual(slot(80, { ...front, ...storages }), { tagOffset: 40, idOffset: 48 });
  const behind = { 'tokio.layouts.taskId': fact(32), 'tokio.layouts.taskIdOption': fact(32, 16) };
  assert.deepEqual(slot(80, { ...behind, ...storages }), { tagOffset: 48, idOffset: 40 });
});
