import { hex } from '../base/reader.ts';

/**
 * A position in the bytes of one section or unit, for millions of small reads: no name is passed along, a read
 * past the end says where. `origin` is the place of `bytes[0]` in the section.
 */
export class Cursor {
  readonly bytes: Buffer;
  readonly origin: number;
  readonly what: string;
  at = 0;

  constructor(bytes: Buffer, origin: number, what: string) {
    this.bytes = bytes;
    this.origin = origin;
    this.what = what;
  }

  get isAtEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  u8(): number {
    const at = this.advance(1);
    return this.bytes[at] as number;
  }

  u16(): number {
    return this.bytes.readUInt16LE(this.advance(2));
  }

  u24(): number {
    return this.bytes.readUIntLE(this.advance(3), 3);
  }

  u32(): number {
    return this.bytes.readUInt32LE(this.advance(4));
  }

  /** Values above 2^53 lose their low bits: no offset or address that a valid file uses is that large. */
  u64(): number {
    const at = this.advance(8);
    return this.bytes.readUInt32LE(at + 4) * 0x1_0000_0000 + this.bytes.readUInt32LE(at);
  }

  /** 4 or 8 bytes: an offset of 32-bit or 64-bit DWARF, an address. */
  sized(size: number): number {
    return size === 8 ? this.u64() : this.u32();
  }

  /** Values above 2^53 lose their low bits. */
  uleb(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MAX_LEB128; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw this.error(`LEB128 number of more than ${MAX_LEB128} bytes`);
  }

  sleb(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < MAX_LEB128; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      scale *= 0x80;
      if (byte < 0x80) return (byte & 0x40) === 0 ? value : value - scale;
    }
    throw this.error(`LEB128 number of more than ${MAX_LEB128} bytes`);
  }

  skipLeb(): void {
    const end = this.at + MAX_LEB128;
    while (this.u8() >= 0x80)
      if (this.at >= end) throw this.error(`LEB128 number of more than ${MAX_LEB128} bytes`);
  }

  skipString(): void {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0) throw this.error('string without an end');
    this.at = end + 1;
  }

  skip(size: number): void {
    this.advance(size);
  }

  advance(size: number): number {
    const at = this.at;
    const next = at + size;
    if (next > this.bytes.length) throw this.error(`${size} bytes wanted, ${this.bytes.length - at} left`);
    this.at = next;
    return at;
  }

  error(found: string): Error {
    return new Error(`Cannot read ${this.what} at ${hex(this.origin + this.at)}: ${found}`);
  }
}

/** Seven bits a byte: ten hold 64. */
const MAX_LEB128 = 10;
