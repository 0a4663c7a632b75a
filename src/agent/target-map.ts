import { TARGET_FLAG, TARGET_PLACES, target } from '../events/layout.ts';
import type { BpfMap, Kernel } from '../kernel/kernel.ts';
import { encodeU32 } from './kernel-values.ts';

const NOBODY = 0;

/**
 * `struct target` by number of process, where the kernel side looks for it: `find_target` and `trace_process` in
 * bpf/task.h, which may write at the same time.
 */
export class TargetMap {
  readonly #places: BpfMap;
  /** Of processes whose place is another's. */
  readonly #crowded: BpfMap;

  constructor(kernel: Pick<Kernel, 'map'>) {
    this.#places = kernel.map('targets');
    this.#crowded = kernel.map('crowded_targets');
  }

  /** `value`: of a program, nobody's so far. */
  set(pid: number, value: Uint8Array): void {
    const place = this.#place(pid);
    const own = ownedBy(pid, value);
    if (place.holder !== NOBODY && place.holder !== pid) {
      if (!place.crowded) this.#write(pid, crowded(place.value));
      this.#crowded.update(encodeU32(pid), own);
      return;
    }
    this.#write(pid, place.crowded ? crowded(own) : own);
    this.#crowded.delete(encodeU32(pid));
    if (this.#place(pid).holder !== pid) this.set(pid, value); // the kernel side has taken it for another process
  }

  get(pid: number): Uint8Array | undefined {
    const place = this.#place(pid);
    if (place.holder === pid) return place.value;
    return place.crowded ? this.#crowded.lookup(encodeU32(pid)) : undefined;
  }

  delete(pid: number): void {
    const place = this.#place(pid);
    if (place.holder === pid) this.#write(pid, place.crowded ? crowded(NOTHING) : NOTHING);
    else if (place.crowded) this.#crowded.delete(encodeU32(pid));
  }

  #place(pid: number): { value: Uint8Array; holder: number; crowded: boolean } {
    const value = this.#places.lookup(placeOf(pid)) ?? NOTHING;
    const view = viewOf(value);
    const flags = view.getUint32(target.flags, true);
    return {
      value,
      holder: view.getUint32(target.tgid, true),
      crowded: (flags & TARGET_FLAG.CROWDED) !== 0,
    };
  }

  #write(pid: number, value: Uint8Array): void {
    this.#places.update(placeOf(pid), value);
  }
}

const NOTHING = new Uint8Array(target.size);

const placeOf = (pid: number) => encodeU32(pid % TARGET_PLACES);
const viewOf = (value: Uint8Array) => new DataView(value.buffer, value.byteOffset, value.byteLength);

function ownedBy(pid: number, value: Uint8Array): Uint8Array {
  const own = Uint8Array.from(value);
  viewOf(own).setUint32(target.tgid, pid, true);
  return own;
}

/** More processes than the one that holds it belong to the place: so it stays. */
function crowded(value: Uint8Array): Uint8Array {
  const marked = Uint8Array.from(value);
  const view = viewOf(marked);
  view.setUint32(target.flags, view.getUint32(target.flags, true) | TARGET_FLAG.CROWDED, true);
  return marked;
}
