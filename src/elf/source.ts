import { hex } from '../base/reader.ts';

/** Random access to the bytes of a file. `read` returns exactly `size` bytes or throws. */
export interface ByteSource {
  readonly size: number;
  read(offset: number, size: number, what: string): Buffer;
}

/** True when [offset, offset + size) lies in a file of `fileSize` bytes. All values must be non-negative. */
export function isInside(offset: number, size: number, fileSize: number): boolean {
  return offset <= fileSize && size <= fileSize - offset;
}

export function checkRange(offset: number, size: number, fileSize: number, what: string): void {
  if (isInside(offset, size, fileSize)) return;
  throw new Error(`Cannot read ${what} at ${hex(offset)}: ${size} bytes wanted, file has ${fileSize}`);
}

/** A file that is already in memory. Reads are views, not copies. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    size: buffer.length,
    read(offset, size, what) {
      checkRange(offset, size, buffer.length, what);
      return buffer.subarray(offset, offset + size);
    },
  };
}
