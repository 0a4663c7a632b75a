/** Hex address for messages: `0x1f40`. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/**
 * Bounds-checked little-endian cursor. Each read names what it reads, so that a failure says
 * `Cannot read e_shoff at 0x28: 8 bytes wanted, 4 left`. `origin` is the file position of byte 0 and only
 * serves messages.
 */
export class Reader {
  readonly bytes: Uint8Array;
  readonly origin: number;
  readonly #view: DataView;
  #position = 0;

  constructor(bytes: Uint8Array, origin = 0) {
    this.bytes = bytes;
    this.origin = origin;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get position(): number {
    return this.#position;
  }

  get remaining(): number {
    return this.bytes.length - this.#position;
  }

  u8(what: string): number {
    return this.#view.getUint8(this.#advance(1, what));
  }

  u16(what: string): number {
    return this.#view.getUint16(this.#advance(2, what), true);
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#advance(4, what), true);
  }

  i32(what: string): number {
    return this.#view.getInt32(this.#advance(4, what), true);
  }

  /** Unsigned 64 bits as a number; values above 2^53 - 1 are an error, because no offset or size is that large. */
  u64(what: string): number {
    const at = this.#advance(8, what);
    const high = this.#view.getUint32(at + 4, true);
    const low = this.#view.getUint32(at, true);
    if (high > 0x1fffff)
      throw this.#error(what, at, `value ${hex(this.#view.getBigUint64(at, true))} exceeds 2^53`);
    return high * 0x1_0000_0000 + low;
  }

  /** Unsigned 64 bits where any value is legal. */
  u64Big(what: string): bigint {
    return this.#view.getBigUint64(this.#advance(8, what), true);
  }

  i64Big(what: string): bigint {
    return this.#view.getBigInt64(this.#advance(8, what), true);
  }

  /** A view of the next `size` bytes, not a copy. */
  take(size: number, what: string): Uint8Array {
    const at = this.#advance(size, what);
    return this.bytes.subarray(at, at + size);
  }

  skip(size: number, what: string): void {
    this.#advance(size, what);
  }

  seek(position: number, what: string): void {
    if (!Number.isInteger(position) || position < 0 || position > this.bytes.length) {
      throw this.#error(what, position, `outside ${this.bytes.length} bytes`);
    }
    this.#position = position;
  }

  /** Bytes up to a NUL (consumed, not returned), one character a byte. */
  cstring(what: string): string {
    const at = this.#position;
    const end = this.bytes.indexOf(0, at);
    if (end < 0) throw this.#error(what, at, `no terminating NUL in ${this.remaining} bytes`);
    this.#position = end + 1;
    return Buffer.from(this.bytes.buffer, this.bytes.byteOffset + at, end - at).toString('latin1');
  }

  #advance(size: number, what: string): number {
    const at = this.#position;
    if (!Number.isInteger(size) || size < 0 || size > this.remaining) {
      throw this.#error(what, at, `${size} bytes wanted, ${this.remaining} left`);
    }
    this.#position = at + size;
    return at;
  }

  #error(what: string, at: number, found: string): Error {
    return new Error(`Cannot read ${what} at ${hex(this.origin + at)}: ${found}`);
  }
}
