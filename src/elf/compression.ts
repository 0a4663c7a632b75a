import * as zlib from 'node:zlib';
import { messageOf } from '../base/errors.ts';
import { Reader } from '../base/reader.ts';
import { ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD, SHF_COMPRESSED } from './constants.ts';
import type { Section } from './sections.ts';

/** Elf64_Chdr: ch_type, reserved, ch_size, ch_addralign. */
const CHDR_SIZE = 24;
/** Bounds the memory that a small hostile file can ask for. */
export const MAX_INFLATED = 1 << 28;

type Decompress = (bytes: Uint8Array, options: { maxOutputLength: number }) => Buffer;

export function isCompressed(section: Section): boolean {
  return (section.flags & SHF_COMPRESSED) !== 0;
}

/** Bytes of an SHF_COMPRESSED section. Node has zstd from 22.15 on; before, the error says so. */
export function inflateSection(raw: Buffer, name: string, limit = MAX_INFLATED): Buffer {
  const reader = new Reader(raw);
  const type = reader.u32(`ch_type of ${name}`);
  reader.skip(4, 'ch_reserved');
  const size = reader.u64(`ch_size of ${name}`);
  if (size > limit) throw new Error(`Cannot inflate ${name}: ${size} bytes announced, limit ${limit}`);
  const bytes = inflate(decompressor(type, name), raw.subarray(CHDR_SIZE), size, name);
  if (bytes.length === size) return bytes;
  throw new Error(`Cannot inflate ${name}: ${size} bytes announced, ${bytes.length} found`);
}

function inflate(decompress: Decompress, input: Buffer, size: number, name: string): Buffer {
  try {
    return decompress(input, { maxOutputLength: Math.max(1, size) });
  } catch (error) {
    throw new Error(`Cannot inflate ${name}: ${messageOf(error)}`);
  }
}

function decompressor(type: number, name: string): Decompress {
  if (type === ELFCOMPRESS_ZLIB) return zlib.inflateSync;
  if (type !== ELFCOMPRESS_ZSTD) throw new Error(`Cannot inflate ${name}: unknown compression type ${type}`);
  const zstd: unknown = Reflect.get(zlib, 'zstdDecompressSync');
  if (typeof zstd === 'function') return zstd as Decompress;
  throw new Error(`Cannot inflate ${name}: zstd needs Node 22.15, this is ${process.versions.node}`);
}
