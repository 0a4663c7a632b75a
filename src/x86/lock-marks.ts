import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import { displacementOf } from './operands.ts';

/** Of std's Mutex: behind its word. */
const POISON = 4;
/** From the look at a lock's mark to what it guards, instructions. */
const SINCE = 64;

/**
 * Registers behind which a lock lies whose mark was looked at, as code does that takes it:
 *
 *     movzx eax, byte ptr [r8 + lock + 4]        whether a thread has panicked that held it
 */
export class LockMarks {
  readonly #marks = new Map<number, { readonly at: number; readonly lock: number }>();

  /** `at`: number of the instruction. */
  note(current: IcedInstruction, written: ReadonlySet<number>, at: number): void {
    const byte = byteLookedAt(current);
    for (const register of written) this.#marks.delete(register);
    if (byte && !written.has(byte.base)) this.#marks.set(byte.base, { at, lock: byte.displacement - POISON });
  }

  /** How far behind the register's memory the lock is. */
  lockBehind(register: number, at: number): number | undefined {
    const mark = this.#marks.get(register);
    return mark && at - mark.at < SINCE ? mark.lock : undefined;
  }
}

/** `movzx r32, byte ptr [register + displacement]`. */
function byteLookedAt(
  current: IcedInstruction,
): { readonly base: number; readonly displacement: number } | undefined {
  const { Code: Opcode, Register, OpKind } = iced();
  const looks = current.code === Opcode.Movzx_r32_rm8 && current.op1Kind === OpKind.Memory;
  if (!looks || current.memoryIndex !== Register.None || current.isIpRelMemoryOperand) return undefined;
  return { base: current.memoryBase, displacement: displacementOf(current) };
}
