import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import { type Code, FunctionDecoder, type Instruction } from './instruction.ts';
import { branchTargetOf } from './operands.ts';

/** From a counter that was decremented to the call for the last holder: a jump over it, its argument, saved registers. */
const MAX_STEPS = 12;

/**
 * Targets of the calls that a function makes when it was the last one to hold something shared, each once: of a
 * direct call or jump the address, of one by the global offset table the slot's. Code of `Arc`'s destructor is
 *
 *     lock dec qword ptr [rax]      or lock sub …, 1
 *     jne  over                     or je to the call
 *     lea  rdi, [rbx + 8]
 *     call drop_slow                or pops, and a jump
 */
export function sharedDrops(code: Code): readonly number[] {
  using decoder = new FunctionDecoder(code);
  const found = new Set<number>();
  const watched = new Map<number, number>();
  let left = 0;
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next()) {
    left = Math.max(left, watched.get(one.offset) ?? 0);
    const { current } = decoder;
    const jump = decoder.jump();
    const isLeft = jump?.target !== undefined && (jump.target < 0 || jump.target >= code.bytes.length);
    if (left > 0 && (one.flow === 'call' || isLeft || isSlotJump(one))) {
      const target = targetOf(current);
      if (target !== undefined) found.add(target);
      left = 0;
    } else if (left > 0 && jump) left = afterJump(current, jump.target, watched, left);
    left = isDecrement(current) ? MAX_STEPS : Math.max(0, left - 1);
  }
  return [...found];
}

/** `jne` leads over the call and `je` to it; behind any other jump it is not. */
function afterJump(
  current: IcedInstruction,
  target: number | undefined,
  watched: Map<number, number>,
  left: number,
): number {
  const { ConditionCode } = iced();
  if (current.conditionCode === ConditionCode.ne) return left;
  if (current.conditionCode === ConditionCode.e && target !== undefined) watched.set(target, left);
  return 0;
}

function isDecrement(current: IcedInstruction): boolean {
  const { Code: Opcode } = iced();
  if (!current.hasLockPrefix) return false;
  const isSub = current.code === Opcode.Sub_rm64_imm8 && current.immediate(1) === 1n;
  return current.code === Opcode.Dec_rm64 || isSub;
}

/** FF /4 with a displacement from the next instruction. */
const isSlotJump = ({ bytes }: Instruction): boolean =>
  bytes.length === 6 && bytes[0] === 0xff && bytes[1] === 0x25;

function targetOf(current: IcedInstruction): number | undefined {
  const { OpKind } = iced();
  if (current.isIpRelMemoryOperand) return Number(BigInt.asIntN(64, current.ipRelMemoryAddress));
  if (current.op0Kind !== OpKind.NearBranch64) return undefined;
  return branchTargetOf(current);
}
