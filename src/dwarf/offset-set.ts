import type { SectionData } from './section-data.ts';
import type { Unit } from './units.ts';

const FILTER_BYTES = 1 << 16;
const WINDOW = 1 << 22;

/** Offsets of 32 bits, with a filter of their low bits in front: asked once for each byte of `.debug_info`. */
export class OffsetSet {
  readonly #filter = new Uint8Array(FILTER_BYTES);
  readonly #offsets = new Set<number>();

  constructor(offsets: Iterable<number>) {
    for (const offset of offsets) {
      const at = (offset >>> 3) % FILTER_BYTES;
      this.#filter[at] = (this.#filter[at] ?? 0) | (1 << (offset & 7));
      this.#offsets.add(offset >>> 0);
    }
  }

  get size(): number {
    return this.#offsets.size;
  }

  /** The first place at or behind `from` where four bytes are one of the offsets; -1 when there is none. */
  find(bytes: Uint8Array, from: number): number {
    const filter = this.#filter;
    const end = bytes.length;
    if (from + 4 > end) return -1;
    let word = ((bytes[from] ?? 0) << 8) | ((bytes[from + 1] ?? 0) << 16) | ((bytes[from + 2] ?? 0) << 24);
    for (let at = from + 3; at < end; at++) {
      word = (word >>> 8) | ((bytes[at] as number) << 24);
      if (
        ((filter[(word >>> 3) & 0xffff] as number) & (1 << (word & 7))) !== 0 &&
        this.#offsets.has(word >>> 0)
      )
        return at - 3;
    }
    return -1;
  }
}

/**
 * The units whose bytes hold one of the offsets somewhere: a reference to it, or a number that happens to be the
 * same. Units without one need not be read entry by entry.
 */
export async function unitsThatName(
  info: SectionData,
  units: readonly Unit[],
  offsets: OffsetSet,
  pause: () => Promise<void>,
): Promise<readonly Unit[]> {
  if (offsets.size === 0) return [];
  const found: Unit[] = [];
  let index = 0;
  for (let start = 0; start < info.size && index < units.length; start += WINDOW) {
    const bytes = info.read(start, Math.min(WINDOW + 3, info.size - start));
    const windowEnd = start + WINDOW;
    for (; index < units.length; index++) {
      const unit = units[index] as Unit;
      if (unit.offset >= windowEnd) break;
      if (found.at(-1) !== unit && holds(bytes, start, unit, offsets)) found.push(unit);
      if (unit.end > windowEnd) break;
    }
    await pause();
  }
  return found;
}

function holds(bytes: Buffer, start: number, unit: Unit, offsets: OffsetSet): boolean {
  const part = bytes.subarray(Math.max(0, unit.offset - start), Math.min(bytes.length, unit.end - start));
  return offsets.find(part, 0) >= 0;
}
