import type { ByteSource } from '../elf/source.ts';

export interface Window {
  /** Distance of `bytes[0]` from the start of the range. */
  readonly start: number;
  readonly bytes: Buffer;
}

const WINDOW_SIZE = 1 << 20;

/**
 * A range of a file in pieces. Each but the last ends with a whole record; each but the first repeats the last
 * `overlap` bytes of the one before.
 */
export function* windows(
  source: ByteSource,
  offset: number,
  size: number,
  recordSize: number,
  overlap = 0,
): Generator<Window> {
  const step = WINDOW_SIZE - (WINDOW_SIZE % recordSize);
  for (let at = 0; at < size; at += step) {
    const start = Math.max(0, at - overlap);
    yield { start, bytes: source.read(offset + start, Math.min(at + step, size) - start, 'bytes') };
  }
}
