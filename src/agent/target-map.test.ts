import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SECOND_PLACES, TARGET_PLACES, target } from '../events/layout.ts';
import type { BpfMap } from '../kernel/kernel.ts';
import { TargetMap } from './target-map.ts';

const PID = 4242;
const OTHER = PID + TARGET_PLACES;
const THIRD = OTHER + TARGET_PLACES;

/** As the kernel's: an array, whose elements are always there. */
function fakeMap(name: string, valueSize: number) {
  const values = new Map<number, Uint8Array>();
  const number = (key: Uint8Array) => Buffer.from(key).readUInt32LE();
  const map: BpfMap = {
    name,
    keySize: 4,
    valueSize,
    update: (key, value) => void values.set(number(key), Uint8Array.from(value)),
    add: () => assert.fail('not used'),
    lookup: (key) => Uint8Array.from(values.get(number(key)) ?? new Uint8Array(valueSize)),
    delete: () => assert.fail('an array'),
  };
  return { map, values };
}

function createMaps() {
  const places = fakeMap('targets', target.size);
  const crowded = fakeMap('crowded_places', 1);
  const all = [places.map, crowded.map];
  const targets = new TargetMap({ map: (name) => all.find((one) => one.name === name) ?? assert.fail(name) });
  return { targets, places, crowded };
}

function value(layout: number, tgid = 0): Uint8Array {
  const bytes = Buffer.alloc(target.size);
  bytes.writeUInt32LE(layout, target.layout);
  bytes.writeUInt32LE(tgid, target.tgid);
  return Uint8Array.from(bytes);
}

test('a process lies in its place', () => {
  const { targets, places, crowded } = createMaps();
  assert(targets.set(PID, value(1)));
  assert.deepEqual(places.values.get(PID % TARGET_PLACES), value(1, PID));
  assert(targets.set(PID, value(2)));
  assert.deepEqual(targets.get(PID), value(2, PID));
  targets.delete(PID);
  assert.equal(targets.get(PID), undefined);
  assert.equal(crowded.values.size, 0);
});

test('more than one of a place: each is found, whoever ends first', () => {
  for (const first of [PID, OTHER, THIRD]) {
    const { targets, crowded } = createMaps();
    for (const [index, pid] of [PID, OTHER, THIRD].entries()) assert(targets.set(pid, value(index)));
    assert.deepEqual([...crowded.values.keys()], [PID % TARGET_PLACES]);
    targets.delete(first);
    for (const [index, pid] of [PID, OTHER, THIRD].entries())
      assert.deepEqual(targets.get(pid), pid === first ? undefined : value(index, pid));
    assert(targets.set(first, value(7)));
    assert.deepEqual(targets.get(first), value(7, first));
  }
});

test('a process whose first place has become free stays where it is', () => {
  const { targets, places } = createMaps();
  targets.set(PID, value(1));
  targets.set(OTHER, value(2));
  targets.delete(PID);
  targets.set(OTHER, value(3));
  assert.deepEqual(places.values.get(PID % TARGET_PLACES), value(1));
  assert.deepEqual(targets.get(OTHER), value(3, OTHER));
  targets.delete(OTHER);
  assert.equal(targets.get(OTHER), undefined);
});

test('all processes of a first place have second places of their own', () => {
  const { targets, places } = createMaps();
  const pids = Array.from({ length: 256 }, (_, k) => PID + k * TARGET_PLACES); // up to 4,194,304, the largest pid_max
  for (const pid of pids) assert(targets.set(pid, value(1)));
  for (const pid of pids) assert.deepEqual(targets.get(pid), value(1, pid));
  assert([...places.values.keys()].every((place) => place < TARGET_PLACES + SECOND_PLACES));
});

test('a process both of whose places are taken', () => {
  const { targets, places } = createMaps();
  targets.set(PID, value(1));
  targets.set(OTHER, value(2));
  const [second = 0] = [...places.values.keys()].filter((place) => place >= TARGET_PLACES);
  places.values.set(second, value(9, 77));
  assert.equal(targets.set(OTHER, value(3)), false);
  assert.equal(targets.get(OTHER), undefined);
});

test('one that ends leaves the others of its place alone', () => {
  const { targets } = createMaps();
  targets.set(PID, value(1));
  targets.delete(OTHER);
  assert.deepEqual(targets.get(PID), value(1, PID));
});

test('the kernel side takes the place meanwhile', () => {
  const { targets, places } = createMaps();
  const { update } = places.map;
  let updates = 0;
  places.map.update = (key, written) => {
    update(key, written);
    if (++updates === 2) places.values.set(PID % TARGET_PLACES, value(9, OTHER));
  };
  assert(targets.set(PID, value(1)));
  assert.deepEqual(places.values.get(PID % TARGET_PLACES), value(9, OTHER));
  assert.deepEqual(targets.get(PID), value(1, PID));
});
