import { isEndbr64 } from './uprobe.ts';

const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'] as const;

export interface ProloguePush {
  readonly offset: number;
  readonly instruction: string;
}

/**
 * `push r64` at a function's entry, or behind `endbr64`: nearly every function of a Rust program has it, and no
 * disassembler is needed to see it (loading one takes longer than the rest of a plan).
 *
 *     50+r → push r64    41 50+r → push r8…r15
 */
export function prologuePush(bytes: Uint8Array): ProloguePush | undefined {
  const offset = isEndbr64(bytes.subarray(0, 4)) ? 4 : 0;
  const [first = 0, second = 0] = bytes.subarray(offset);
  const low = REGISTERS[first - 0x50];
  if (low) return { offset, instruction: `push ${low}` };
  if (first === 0x41 && REGISTERS[second - 0x50])
    return { offset, instruction: `push r${second - 0x50 + 8}` };
  return undefined;
}
