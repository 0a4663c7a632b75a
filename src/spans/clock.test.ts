import assert from 'node:assert/strict';
import { test } from 'node:test';
import { WallClock } from './clock.ts';

/** A machine: each look at a clock takes 10 µs. */
class Machine {
  ns = 5_000_000_123;
  /** unix − monotonic, ns, below one second, and whole seconds. */
  offsetNs = 123_456_789;
  offsetSeconds = 1_700_000_000;

  readonly monotonicNs = () => {
    this.ns += 10_000;
    return this.ns;
  };
  readonly unixMs = () => {
    this.ns += 10_000;
    return this.offsetSeconds * 1000 + Math.floor((this.ns + this.offsetNs) / 1e6);
  };

  /** What a clock should say of this moment, ns behind `offsetSeconds`. */
  expected(ns: number): number {
    return ns + this.offsetNs;
  }
}

function error(clock: WallClock, machine: Machine, ns: number): number {
  const { seconds, nanoseconds } = clock.at(ns);
  assert(Number.isInteger(seconds) && nanoseconds >= 0 && nanoseconds < 1e9);
  return (seconds - machine.offsetSeconds) * 1e9 + nanoseconds - machine.expected(ns);
}

test('monotonic time becomes wall time, to some tens of µs', () => {
  const machine = new Machine();
  const clock = new WallClock(machine);
  for (const ns of [0, 1, 999_999_999, 1e9, machine.ns, machine.ns + 86_400e9])
    assert(Math.abs(error(clock, machine, ns)) < 100_000, `${error(clock, machine, ns)} ns off at ${ns}`);
});

test('a step of the wall clock is followed, a drift below 2 ms is not', () => {
  const machine = new Machine();
  const clock = new WallClock(machine);
  assert.equal(clock.refresh(), false);
  machine.offsetNs += 500_000;
  assert.equal(clock.refresh(), false);
  for (const step of [3600e9, -7200e9, 5e6, -5e6]) {
    machine.offsetNs += step;
    assert.equal(clock.refresh(), true, `${step}`);
    assert(Math.abs(error(clock, machine, machine.ns)) < 100_000);
    assert.equal(clock.refresh(), false);
  }
});

test("the machine's own clocks", () => {
  const clock = new WallClock();
  const { seconds, nanoseconds } = clock.at(clock.nowNs());
  assert(Math.abs(seconds * 1000 + nanoseconds / 1e6 - Date.now()) < 50);
});
