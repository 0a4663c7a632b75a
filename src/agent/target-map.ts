import { SECOND_PLACES, TARGET_PLACES, target } from '../events/layout.ts';
import type { BpfMap, Kernel } from '../kernel/kernel.ts';
import { encodeU32 } from './kernel-values.ts';

const NOBODY = 0;

/**
 * `struct target` by number of process, where the kernel side looks for it: `find_target` and `trace_process` in
 * bpf/task.h, which may write at the same time.
 */
export class TargetMap {
  readonly #places: BpfMap;
  /** First places that more than one process had at a time, once. */
  readonly #crowded: BpfMap;

  constructor(kernel: Pick<Kernel, 'map'>) {
    this.#places = kernel.map('targets');
    this.#crowded = kernel.map('crowded_places');
  }

  /**
   * `value`: of a program, nobody's so far. False when both places are other processes'. One that runs stays where it is:
   * the kernel side may be looking at it.
   */
  set(pid: number, value: Uint8Array): boolean {
    const [first, second] = [firstPlace(pid), secondPlace(pid)];
    const holders = [first, second].map((place) => holderOf(this.#at(place)));
    const own = holders.indexOf(pid);
    const index = own >= 0 ? own : holders.indexOf(NOBODY);
    if (index !== 0) this.#crowded.update(encodeU32(first), Uint8Array.of(1));
    const place = [first, second][index];
    if (place === undefined) return false;
    // The number last: what it is the number of is there by then.
    if (own < 0) this.#places.update(encodeU32(place), value);
    this.#places.update(encodeU32(place), withHolder(pid, value));
    // The kernel side may have taken it for another process.
    return holderOf(this.#at(place)) === pid || this.set(pid, value);
  }

  get(pid: number): Uint8Array | undefined {
    return [firstPlace(pid), secondPlace(pid)]
      .map((place) => this.#at(place))
      .find((value) => holderOf(value) === pid);
  }

  delete(pid: number): void {
    this.#clear(firstPlace(pid), pid);
    this.#clear(secondPlace(pid), pid);
  }

  #clear(place: number, pid: number): void {
    const value = this.#at(place);
    if (holderOf(value) === pid) this.#places.update(encodeU32(place), withHolder(NOBODY, value));
  }

  #at(place: number): Uint8Array {
    return this.#places.lookup(encodeU32(place)) ?? NOTHING;
  }
}

const NOTHING = new Uint8Array(target.size);

const firstPlace = (pid: number) => pid % TARGET_PLACES;
const secondPlace = (pid: number) =>
  TARGET_PLACES + ((7 * firstPlace(pid) + 61 * Math.floor(pid / TARGET_PLACES)) % SECOND_PLACES);

const viewOf = (value: Uint8Array) => new DataView(value.buffer, value.byteOffset, value.byteLength);
const holderOf = (value: Uint8Array) => viewOf(value).getUint32(target.tgid, true);

function withHolder(pid: number, value: Uint8Array): Uint8Array {
  const own = Uint8Array.from(value);
  viewOf(own).setUint32(target.tgid, pid, true);
  return own;
}
