import type { RecordHandler, RingReader } from './kernel.ts';
import { type Mapping, mapFile } from './libc.ts';

/** Record header: u32 length with these flags, u32 page offset; then the payload, padded to 8 bytes. */
const BUSY_BIT = 0x8000_0000 | 0;
const DISCARD_BIT = 0x4000_0000;
const LENGTH_MASK = 0x3fff_ffff;
const HEADER_SIZE = 8;
const PAGE_SIZE = 4096;
/** The consumer's position is published each 1/16 of the ring: space comes back soon, at one BigInt each time. */
const PUBLISH_SHIFT = 4;

export interface OwnedRingReader extends RingReader {
  close(): void;
}

/**
 * Reader of a BPF_MAP_TYPE_RINGBUF, https://docs.kernel.org/bpf/ringbuf.html: one page with the consumer's
 * position, one with the producer's, then the data twice in a row. Only the first copy is mapped: each mapped
 * page counts as resident memory. A record that goes on in the second copy is put together from both ends.
 * Positions are byte counts since creation and stay below 2^53.
 */
export function openRing(fd: number, size: number): OwnedRingReader {
  const consumerPage = mapFile(fd, 0, PAGE_SIZE, true);
  const producerPages = mapOrRetire(consumerPage, () => mapFile(fd, PAGE_SIZE, PAGE_SIZE + size, false));
  const consumer = new BigUint64Array(consumerPage.memory, 0, 1);
  const producer = new BigUint64Array(producerPages.memory, 0, 1);
  const headers = new Int32Array(producerPages.memory, PAGE_SIZE);
  const view = new DataView(producerPages.memory, PAGE_SIZE);
  const bytes = Buffer.from(producerPages.memory, PAGE_SIZE);
  const mask = size - 1;
  const split = new SplitRecord();
  const publishEvery = size >> PUBLISH_SHIFT;
  let position = Number(Atomics.load(consumer, 0));
  let published = position;
  let closed = false;

  const publish = (): void => {
    if (position === published) return;
    Atomics.store(consumer, 0, BigInt(position));
    published = position;
  };

  const consume = (onRecord: RecordHandler, limit: number, waiting: number): number => {
    let handled = 0;
    let left = waiting;
    while (left > 0 && handled < limit) {
      const at = position & mask; // ToInt32 keeps the low 32 bits of a larger position
      const header = Atomics.load(headers, at >> 2);
      if ((header & BUSY_BIT) !== 0) break; // reserved, not yet submitted
      const length = header & LENGTH_MASK;
      const step = (length + HEADER_SIZE + 7) & ~7;
      position += step;
      left -= step;
      if ((header & DISCARD_BIT) === 0) {
        handled += 1;
        const start = (at + HEADER_SIZE) & mask;
        if (start + length <= size) onRecord(view, bytes, start, length);
        else split.join(bytes, start, length, onRecord);
      }
      if (position - published >= publishEvery) publish();
    }
    return handled;
  };

  const pending = (): number => (closed ? 0 : Number(Atomics.load(producer, 0)) - position);

  return {
    pending,
    drain(onRecord, limit) {
      if (closed) throw new Error('Cannot drain the ring: it is closed');
      try {
        return consume(onRecord, limit, pending());
      } finally {
        publish(); // a record whose handler threw counts as read, or it would come back for ever
      }
    },
    close() {
      if (closed) return;
      closed = true;
      consumerPage.retire();
      producerPages.retire();
    },
  };
}

/** A record in two parts, copied to one place. Grows to the largest that came. */
class SplitRecord {
  #bytes = Buffer.alloc(PAGE_SIZE);
  #view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);

  join(ring: Buffer, start: number, length: number, onRecord: RecordHandler): void {
    if (length > this.#bytes.length) {
      this.#bytes = Buffer.alloc(length);
      this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, length);
    }
    const first = ring.copy(this.#bytes, 0, start);
    ring.copy(this.#bytes, first, 0, length - first);
    onRecord(this.#view, this.#bytes, 0, length);
  }
}

function mapOrRetire(earlier: Mapping, map: () => Mapping): Mapping {
  try {
    return map();
  } catch (error) {
    earlier.retire();
    throw error;
  }
}
