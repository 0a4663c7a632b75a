import { DataImage } from '../elf/data-image.ts';
import { CodeIndexer } from './code-index.ts';
import { createProgram, type Program } from './program.ts';

/** Instructions, or what they are at the address of their first byte. */
export type Part = readonly number[] | ((at: number) => readonly number[]);

export const PUSH_RBX: Part = [0x53];
export const POP_RBX: Part = [0x5b];
export const RET: Part = [0xc3];

const relative = (opcode: readonly number[], target: number): Part => {
  return (at) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(target - (at + opcode.length + 4));
    return [...opcode, ...bytes];
  };
};

export const callTo = (target: number): Part => relative([0xe8], target);
export const jumpTo = (target: number): Part => relative([0xe9], target);
/** `lea rsi, [rip + …]` */
export const loadAddress = (target: number): Part => relative([0x48, 0x8d, 0x35], target);

/** Functions by address, and data that holds 64-bit words or text by address. */
export function programOf(
  functions: ReadonlyMap<number, readonly Part[]>,
  data: ReadonlyMap<number, readonly number[] | string>,
): Program {
  const code = [...functions].map(([at, parts]) => ({ at, bytes: assembled(at, parts) }));
  const ranges = [...data].map(([svma, words]) => {
    const bytes = typeof words === 'string' ? Buffer.from(words, 'latin1') : wordBytes(words);
    return { svma, bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
  });
  const image = new DataImage(
    ranges.sort((a, b) => a.svma - b.svma),
    new Map(),
  );
  const functionRanges = {
    starts: Float64Array.from(code, ({ at }) => at),
    ends: Float64Array.from(code, ({ at, bytes }) => at + bytes.length),
  };
  const indexer = new CodeIndexer(image, functionRanges, false);
  for (const { at, bytes } of code)
    indexer.scan(Buffer.concat([Buffer.alloc(8), bytes, Buffer.alloc(8)]), at - 8, 8);
  const bytesOf = new Map(code.map(({ at, bytes }) => [at, bytes]));
  return createProgram(image, functionRanges, indexer.index(), ({ svma }) => bytesOf.get(svma));
}

function assembled(at: number, parts: readonly Part[]): Buffer {
  const bytes: number[] = [];
  for (const part of parts) bytes.push(...(typeof part === 'function' ? part(at + bytes.length) : part));
  return Buffer.from(bytes);
}

function wordBytes(words: readonly number[]): Buffer {
  const bytes = Buffer.alloc(words.length * 8);
  for (const [i, word] of words.entries()) bytes.writeBigUInt64LE(BigInt(word), i * 8);
  return bytes;
}
