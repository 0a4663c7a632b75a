import { CHECK_SITES, siteCheck } from '../events/layout.ts';
import type { BpfMap } from '../kernel/kernel.ts';
import type { TaskSlot } from '../plan/plan.ts';
import { encodeU32 } from './kernel-values.ts';

const UNCHECKED = 0;
/** Of a slot that a symbol names: fifteen contradictions, and next to nothing that is right, before it is doubted. */
const NAMED_SCORE = 240;
/** SLOT_UNPROVEN of bpf/events.h. */
const SLOT_UNPROVEN = 1n << 63n;

/** Numbers of what the kernel side checks: entries of its map `sites`, which begin at zero. */
export class SiteNumbers {
  readonly #sites: BpfMap;
  readonly #free: number[] = [];
  #next = 1;

  constructor(sites: BpfMap) {
    this.#sites = sites;
  }

  /** 0 when all are in use: such a site is not judged. */
  take(value = new Uint8Array(siteCheck.size)): number {
    const number = this.#free.pop() ?? (this.#next < CHECK_SITES ? this.#next++ : UNCHECKED);
    if (number !== UNCHECKED) this.#sites.update(encodeU32(number), value);
    return number;
  }

  /** `spawns`: Tokio is seen to draw ids of tasks. */
  takeSlot({ recovered }: TaskSlot, spawns: boolean): number {
    const value = Buffer.alloc(siteCheck.size);
    value.writeUInt32LE(recovered ? 0 : NAMED_SCORE, siteCheck.score);
    if (spawns) value.writeBigUInt64LE(SLOT_UNPROVEN, siteCheck.first);
    return this.take(value);
  }

  give(number: number): void {
    if (number !== UNCHECKED) this.#free.push(number);
  }
}
