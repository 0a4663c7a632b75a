import { tryLoadBtf } from './bpf-syscall.ts';
import { BTF_KIND, type Btf } from './btf.ts';
import { SystemCallError } from './libc.ts';

const INT_EIGHT_BITS = 8;
const FUNC_EXTERN = 2;
const HEADER_SIZE = 24;

/**
 * The object's types as any kernel from 5.15 on accepts them, ids unchanged. Variables, data sections, extern
 * functions and declaration tags aren't needed and have rules that differ by kernel: each becomes a one-byte
 * integer. `old` also replaces the kinds that came later: TYPE_TAG (5.17) and ENUM64 (6.0).
 */
export function kernelBtf(btf: Btf, old: boolean): Buffer {
  const words: number[] = [];
  for (let id = 1; id < btf.count; id += 1) words.push(...typeWords(btf, id, old));
  const types = Buffer.from(Uint32Array.from(words).buffer);
  const header = Buffer.alloc(HEADER_SIZE);
  header.writeUInt16LE(0xeb9f, 0);
  header.writeUInt8(1, 2);
  header.writeUInt32LE(HEADER_SIZE, 4);
  header.writeUInt32LE(types.length, 12);
  header.writeUInt32LE(types.length, 16);
  header.writeUInt32LE(btf.strings.length, 20);
  return Buffer.concat([header, types, btf.strings]);
}

const integer = (bits: number): number[] => [0, (BTF_KIND.INT << 24) >>> 0, bits / 8, bits];

function typeWords(btf: Btf, id: number, old: boolean): number[] {
  const kind = btf.kind(id);
  const raw = btf.raw(id);
  switch (kind) {
    case BTF_KIND.VAR:
    case BTF_KIND.DATASEC:
    case BTF_KIND.DECL_TAG:
      return integer(INT_EIGHT_BITS);
    case BTF_KIND.FUNC:
      return btf.length(id) === FUNC_EXTERN ? integer(INT_EIGHT_BITS) : [...raw];
    case BTF_KIND.TYPE_TAG:
      return old ? [0, (BTF_KIND.CONST << 24) >>> 0, btf.target(id)] : [...raw];
    case BTF_KIND.ENUM64:
      return old ? integer(64) : [...raw];
    default:
      return [...raw];
  }
}

const LOG_SIZE = 1 << 20;

/** Hands the object's types to the kernel; returns the descriptor. */
export function loadBtf(btf: Btf): number {
  const modern = tryLoadBtf(kernelBtf(btf, false));
  if (modern >= 0) return modern;
  const bytes = kernelBtf(btf, true);
  const fd = tryLoadBtf(bytes);
  if (fd >= 0) return fd;
  const log = Buffer.alloc(LOG_SIZE);
  tryLoadBtf(bytes, log);
  const text = log
    .toString('latin1', 0, Math.max(0, log.indexOf(0)))
    .trim()
    .split('\n')
    .slice(-3)
    .join(' | ');
  throw new SystemCallError(`load the BTF of ${btf.origin} (${text})`, -fd);
}
