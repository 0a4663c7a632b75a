/** Memory that messages are written to. */
export class Chunk {
  readonly buffer: Buffer;
  readonly view: DataView;
  /** Who still needs what is written here, counted by the source of the chunk. */
  users = 1;

  constructor(bytes: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytes);
    this.view = new DataView(this.buffer.buffer, this.buffer.byteOffset, this.buffer.length);
  }
}

export interface ChunkSource {
  /** A chunk with room for at least so many bytes, in use. */
  readonly take: (bytes: number) => Chunk;
  /** One user less. */
  readonly drop: (chunk: Chunk) => void;
}

const GARBAGE_COLLECTED: ChunkSource = { take: (bytes) => new Chunk(bytes), drop: () => undefined };

/**
 * Protobuf primitives over one chunk. `begin` marks where the current message starts: when the chunk is
 * full, a new one takes over and only the bytes since then are copied, so that finished messages stay where
 * they are.
 */
export class ByteWriter {
  readonly #source: ChunkSource;
  chunk: Chunk;
  buffer: Buffer;
  view: DataView;
  position = 0;
  #start = 0;

  constructor(chunk: Chunk, source = GARBAGE_COLLECTED) {
    this.#source = source;
    this.chunk = chunk;
    this.buffer = chunk.buffer;
    this.view = chunk.view;
  }

  /** Starts a message here. */
  begin(): void {
    this.#start = this.position;
  }

  /** Position where the current message starts now: `ensure` may have moved it. */
  get start(): number {
    return this.#start;
  }

  /** Makes room for `bytes` more. */
  ensure(bytes: number): void {
    if (this.position + bytes > this.buffer.length) this.#move(bytes);
  }

  #move(bytes: number): void {
    const begun = this.buffer.subarray(this.#start, this.position);
    const full = this.chunk;
    this.chunk = this.#source.take(2 * (begun.length + bytes));
    this.buffer = this.chunk.buffer;
    this.view = this.chunk.view;
    begun.copy(this.buffer);
    this.position = begun.length;
    this.#start = 0;
    this.#source.drop(full);
  }

  byte(value: number): void {
    this.buffer[this.position++] = value;
  }

  /** 0 to 2^32 - 1. Room for 5 bytes is the caller's business, as for all that follow. */
  varint(value: number): void {
    let rest = value >>> 0;
    let position = this.position;
    const buffer = this.buffer;
    while (rest > 0x7f) {
      buffer[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[position++] = rest;
    this.position = position;
  }

  /** A whole number as int64: 10 bytes when negative. Beyond 2^53 as exact as the number itself. */
  int64(value: number): void {
    if (value >= 0 && value <= 0xffffffff) {
      this.varint(value);
      return;
    }
    let rest = BigInt.asUintN(64, BigInt(value));
    while (rest > 0x7fn) {
      this.byte(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.byte(Number(rest));
  }

  double(value: number): void {
    this.view.setFloat64(this.position, value, true);
    this.position += 8;
  }

  fixed32(value: number): void {
    this.view.setUint32(this.position, value, true);
    this.position += 4;
  }

  /**
   * seconds · 10⁹ + nanoseconds as fixed64. The product passes 2^53, so seconds are split at 16 bits:
   * total = upper · 2^16 + lower, both exact.
   */
  unixNanoseconds(seconds: number, nanoseconds: number): void {
    const upper = Math.floor(seconds / 0x10000) * 1e9;
    const lower = (seconds & 0xffff) * 1e9 + nanoseconds;
    const low = (upper % 0x10000) * 0x10000 + (lower % 0x100000000);
    const high = Math.floor(upper / 0x10000) + Math.floor(lower / 0x100000000) + (low > 0xffffffff ? 1 : 0);
    this.view.setUint32(this.position, low, true);
    this.view.setUint32(this.position + 4, high, true);
    this.position += 8;
  }

  /** Most significant byte first, as trace and span ids are. */
  word(value: number): void {
    this.view.setInt32(this.position, value);
    this.position += 4;
  }

  raw(bytes: Uint8Array): void {
    const buffer = this.buffer;
    let position = this.position;
    for (let i = 0; i < bytes.length; i++) buffer[position++] = bytes[i] as number;
    this.position = position;
  }

  /** UTF-8 without a length; lone surrogates become U+FFFD. */
  utf8(text: string): void {
    this.position += this.buffer.write(text, this.position, 'utf8');
  }

  /** Varint length and UTF-8. Makes its own room. */
  string(text: string): void {
    if (text.length < 0x80 && this.#shortAscii(text)) return;
    const size = Buffer.byteLength(text, 'utf8');
    this.ensure(size + 5);
    this.varint(size);
    this.utf8(text);
  }

  /** False, with nothing written, when the text isn't ASCII. For short text a call into V8 costs more. */
  #shortAscii(text: string): boolean {
    const size = text.length;
    this.ensure(size + 1);
    const buffer = this.buffer;
    let position = this.position;
    buffer[position++] = size;
    for (let i = 0; i < size; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 0x7f) return false;
      buffer[position++] = unit;
    }
    this.position = position;
    return true;
  }

  /**
   * Fills in the length of what was written since `at`, where 2 bytes were left free. A varint may be longer
   * than needed, so a small length is padded; for 16 KiB and more the message moves by 2 bytes.
   */
  length2(at: number): void {
    const size = this.position - at - 2;
    if (size < 0x4000) {
      this.buffer[at] = (size & 0x7f) | 0x80;
      this.buffer[at + 1] = size >>> 7;
      return;
    }
    const fromStart = at - this.#start;
    this.ensure(2);
    const moved = this.#start + fromStart;
    this.buffer.copyWithin(moved + 4, moved + 2, this.position);
    this.position += 2;
    this.length4(moved);
  }

  /** The same with 4 bytes left free, always padded. */
  length4(at: number): void {
    const size = this.position - at - 4;
    const buffer = this.buffer;
    buffer[at] = (size & 0x7f) | 0x80;
    buffer[at + 1] = ((size >>> 7) & 0x7f) | 0x80;
    buffer[at + 2] = ((size >>> 14) & 0x7f) | 0x80;
    buffer[at + 3] = size >>> 21;
  }
}

/** Protobuf's size of a varint below 2^32, bytes. */
export function varintSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  return value < 0x10000000 ? 4 : 5;
}
