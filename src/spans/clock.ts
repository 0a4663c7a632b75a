/** A point in wall-clock time; nanoseconds 0–999,999,999. */
export interface UnixTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** Reads CLOCK_MONOTONIC in ns and the wall clock in whole ms; others serve tests. */
export interface ClockSource {
  readonly monotonicNs: () => number;
  readonly unixMs: () => number;
}

const SYSTEM: ClockSource = { monotonicNs: () => Number(process.hrtime.bigint()), unixMs: () => Date.now() };

const NS = 1e9;
const MS = 1e6;
/** A wall clock that is off by more than this has been set, or the machine was suspended. */
const TOLERATED_DRIFT_NS = 2 * MS;

/** CLOCK_MONOTONIC → wall clock. The offset is exact to some µs: it is taken at a tick of the wall clock. */
export class WallClock {
  readonly #source: ClockSource;
  /** unix = monotonic + offset, as seconds and ns: one double can't hold today's ns. */
  #seconds = 0;
  #nanoseconds = 0;

  constructor(source: ClockSource = SYSTEM) {
    this.#source = source;
    this.#measure();
  }

  at(monotonicNs: number): UnixTime {
    const whole = Math.floor(monotonicNs / NS);
    let seconds = whole + this.#seconds;
    let nanoseconds = monotonicNs - whole * NS + this.#nanoseconds;
    if (nanoseconds >= NS) {
      nanoseconds -= NS;
      seconds++;
    }
    return { seconds, nanoseconds };
  }

  nowNs(): number {
    return this.#source.monotonicNs();
  }

  /** Follows steps of the wall clock; true when there was one. To be called every few seconds. */
  refresh(): boolean {
    const { seconds, nanoseconds } = this.at(this.#source.monotonicNs());
    const drift = (this.#source.unixMs() - seconds * 1000) * MS - nanoseconds;
    // The wall clock is read in whole ms: it lags by up to 1 ms.
    if (Math.abs(drift + MS / 2) <= TOLERATED_DRIFT_NS) return false;
    this.#measure();
    return true;
  }

  #measure(): void {
    const { unixMs, monotonicNs } = this.#bestTick();
    const whole = Math.floor(monotonicNs / NS);
    const unixSeconds = Math.floor(unixMs / 1000);
    const nanoseconds = (unixMs - unixSeconds * 1000) * MS - (monotonicNs - whole * NS);
    this.#seconds = unixSeconds - whole - (nanoseconds < 0 ? 1 : 0);
    this.#nanoseconds = nanoseconds < 0 ? nanoseconds + NS : nanoseconds;
  }

  /** A tick that was read late, because another process ran in between, shows by the time both reads took. */
  #bestTick(): Tick {
    let best = this.#tick();
    for (let i = 0; i < MAX_TICKS && best.uncertaintyNs > GOOD_TICK_NS; i++) {
      const next = this.#tick();
      if (next.uncertaintyNs < best.uncertaintyNs) best = next;
    }
    return best;
  }

  /** Waits for the wall clock's next millisecond: 1 ms at most while it runs. */
  #tick(): Tick {
    const { monotonicNs, unixMs } = this.#source;
    const first = unixMs();
    let before = monotonicNs();
    let now = unixMs();
    for (let i = 0; now === first && i < 1e6; i++) {
      before = monotonicNs();
      now = unixMs();
    }
    const after = monotonicNs();
    return { unixMs: now, monotonicNs: (before + after) / 2, uncertaintyNs: after - before };
  }
}

interface Tick {
  readonly unixMs: number;
  readonly monotonicNs: number;
  readonly uncertaintyNs: number;
}

const GOOD_TICK_NS = 20_000;
const MAX_TICKS = 10;
