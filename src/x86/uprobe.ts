/**
 * Instructions that the kernel emulates under a uprobe in place of a single step, on every kernel from 5.15
 * (`push_setup_xol_ops` and `branch_setup_xol_ops` of arch/x86/kernel/uprobes.c):
 *
 *     50+r, 41 50+r        push r64
 *     EB, E9, 70+cc, 0F 80+cc, E8   jmp, jcc, call with an immediate
 *     90, 66…66 90         nop
 *
 * A jump or call with a 66 prefix is refused at registration. Long nops (0F 1F) only since 6.18: not counted.
 * `bytes` is one whole instruction.
 */
export function isEmulated(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  switch (bytes.length) {
    case 1:
      return isPush(first) || first === 0x90;
    case 2:
      return (first === 0x41 && isPush(second)) || first === 0xeb || isShortJcc(first) || isPaddedNop(bytes);
    case 5:
      return first === 0xe9 || first === 0xe8;
    case 6:
      return first === 0x0f && second >= 0x80 && second <= 0x8f;
    default:
      return isPaddedNop(bytes);
  }
}

const isPush = (opcode: number): boolean => opcode >= 0x50 && opcode <= 0x57;
const isShortJcc = (opcode: number): boolean => opcode >= 0x70 && opcode <= 0x7f;

function isPaddedNop(bytes: Uint8Array): boolean {
  return bytes.at(-1) === 0x90 && bytes.subarray(0, -1).every((byte) => byte === 0x66);
}

/** `push r64`, the one emulated instruction that compilers only place where it runs once a call. */
export function isPushRegister(bytes: Uint8Array): boolean {
  const [first = 0, second = 0] = bytes;
  return (bytes.length === 1 && isPush(first)) || (bytes.length === 2 && first === 0x41 && isPush(second));
}

/**
 * `xchg r8…r15, rax` (49 90 and its like): under a uprobe the kernel takes it for a `nop` and the registers stay as
 * they are (measured on 6.18). Also true for a few harmless instructions that end in such bytes.
 */
export function isBrokenByUprobe(bytes: Uint8Array): boolean {
  const rex = bytes.at(-2) ?? 0;
  return bytes.at(-1) === 0x90 && rex >= 0x40 && rex <= 0x4f && (rex & 1) === 1;
}

/** F3 0F 1E FA, the landing pad of indirect branches. */
export function isEndbr64(bytes: Uint8Array): boolean {
  return (
    bytes.length === 4 && bytes[0] === 0xf3 && bytes[1] === 0x0f && bytes[2] === 0x1e && bytes[3] === 0xfa
  );
}

/** Segment overrides ES, CS, SS, DS and LOCK: `is_prefix_bad` of the same file. */
const REFUSED_PREFIXES: readonly number[] = [0x26, 0x2e, 0x36, 0x3e, 0xf0];
const PREFIXES: readonly number[] = [...REFUSED_PREFIXES, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3];

/** A prefix with which the kernel refuses a uprobe; 66 matters on jumps and relative calls only. */
export function hasRefusedPrefix(bytes: Uint8Array, isBranch: boolean): boolean {
  for (const byte of bytes) {
    if (!PREFIXES.includes(byte)) return false;
    if (REFUSED_PREFIXES.includes(byte) || (isBranch && byte === 0x66)) return true;
  }
  return false;
}
