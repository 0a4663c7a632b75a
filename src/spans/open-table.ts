const SMALLEST = 256;
const PIPELINE = 4096;

/** Requests of one connection that the kernel side lets be open. */
export const MAX_UNANSWERED = 64;

/** A request's key: connections are counted, and at most 64 requests of one are open. Exact below 2^53. */
export const keyOf = (connection: number, sequence: number) => connection * PIPELINE + (sequence % PIPELINE);

/**
 * A map from request keys (whole numbers below 2^53) to values, for entries that live for a moment: open
 * addressing with linear probing, deletion by shifting back. A `Map` under such churn is rebuilt all the time,
 * and each dead table keeps what it held alive until a full collection: that was 30 % of the agent's CPU.
 */
export class OpenTable<Value extends object> {
  #keys = new Float64Array(SMALLEST);
  #values: (Value | undefined)[] = new Array(SMALLEST).fill(undefined);
  #mask = SMALLEST - 1;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: number): Value | undefined {
    return this.#values[this.#find(key)];
  }

  set(key: number, value: Value): void {
    if (this.#size * 2 > this.#mask) this.#grow();
    const at = this.#find(key);
    if (this.#values[at] === undefined) this.#size++;
    this.#keys[at] = key;
    this.#values[at] = value;
  }

  /** Removes and returns. */
  take(key: number): Value | undefined {
    const at = this.#find(key);
    const value = this.#values[at];
    if (value === undefined) return undefined;
    this.#size--;
    this.#closeGap(at);
    return value;
  }

  /** A copy, in no order: entries may be taken while it is walked. */
  entries(): (readonly [number, Value])[] {
    const entries: (readonly [number, Value])[] = [];
    for (const [at, value] of this.#values.entries()) {
      if (value !== undefined) entries.push([this.#keys[at] ?? 0, value]);
    }
    return entries;
  }

  /** Where the key is, or the free place where it belongs. */
  #find(key: number): number {
    let at = this.#home(key);
    while (this.#values[at] !== undefined && this.#keys[at] !== key) at = (at + 1) & this.#mask;
    return at;
  }

  /** The upper part of a key counts connections, the lower 12 bits requests of one: both are spread. */
  #home(key: number): number {
    const upper = Math.floor(key / PIPELINE) | 0;
    const mixed = Math.imul(upper, 0x9e3779b1) ^ Math.imul(key % PIPELINE, 0x85ebca6b);
    return (mixed ^ (mixed >>> 15)) & this.#mask;
  }

  /** Entries behind a gap move into it when it lies between their home and them. */
  #closeGap(from: number): void {
    let gap = from;
    for (let at = (gap + 1) & this.#mask; this.#values[at] !== undefined; at = (at + 1) & this.#mask) {
      const distance = (at - this.#home(this.#keys[at] ?? 0)) & this.#mask;
      if (distance < ((at - gap) & this.#mask)) continue;
      this.#keys[gap] = this.#keys[at] ?? 0;
      this.#values[gap] = this.#values[at];
      gap = at;
    }
    this.#values[gap] = undefined;
  }

  #grow(): void {
    const entries = this.entries();
    const capacity = (this.#mask + 1) * 2;
    this.#keys = new Float64Array(capacity);
    this.#values = new Array(capacity).fill(undefined);
    this.#mask = capacity - 1;
    this.#size = 0;
    for (const [key, value] of entries) this.set(key, value);
  }
}
