import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import { ARGUMENT_REGISTERS, type ArgumentRegister, type Code, FunctionDecoder } from './instruction.ts';
import { isKept } from './kept-registers.ts';
import { displacementOf } from './operands.ts';

/**
 * Argument registers that a function takes for pointers, each with the displacements at which it reads or writes behind
 * them. Copies in registers and on the stack are followed along the code and along its jumps forward; where ways join, a
 * register holds what it holds on either, so a displacement is a sign and no proof.
 */
export function argumentUse(code: Code): ReadonlyMap<ArgumentRegister, ReadonlySet<number>> {
  const { Register } = iced();
  using decoder = new FunctionDecoder(code);
  const used = new Map<ArgumentRegister, Set<number>>();
  const registers = new Map<number, ArgumentRegister>(
    ARGUMENT_REGISTERS.map((name) => [Register[name.toUpperCase() as 'RDI'], name]),
  );
  const stack = new Map<string, ArgumentRegister>();
  const arriving = new Map<number, Registers>();
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next()) {
    const { current } = decoder;
    for (const [register, argument] of arriving.get(one.offset) ?? []) registers.set(register, argument);
    arriving.delete(one.offset);
    const access = accessOf(current, registers);
    if (access) used.set(access[0], (used.get(access[0]) ?? new Set()).add(access[1]));
    const value = movedValue(current, registers, stack);
    for (const register of decoder.written()) registers.delete(register);
    if (one.flow === 'call') forgetScratch(registers);
    place(current, value, registers, stack);
    const target = decoder.jump()?.target;
    if (target !== undefined && target > one.offset && registers.size > 0 && !arriving.has(target))
      arriving.set(target, new Map(registers));
  }
  return used;
}

type Registers = Map<number, ArgumentRegister>;

function accessOf(
  current: IcedInstruction,
  registers: Registers,
): readonly [ArgumentRegister, number] | undefined {
  const { Code: Opcode, OpKind } = iced();
  const memory =
    current.op0Kind === OpKind.Memory || (current.opCount > 1 && current.op1Kind === OpKind.Memory);
  const argument =
    memory && current.code !== Opcode.Lea_r64_m ? registers.get(current.memoryBase) : undefined;
  return argument && [argument, displacementOf(current)];
}

const isMove = ({ code }: IcedInstruction): boolean =>
  code === iced().Code.Mov_r64_rm64 || code === iced().Code.Mov_rm64_r64;

/** The argument that a move copies. */
function movedValue(current: IcedInstruction, registers: Registers, stack: Map<string, ArgumentRegister>) {
  const { OpKind } = iced();
  if (!isMove(current)) return undefined;
  if (current.op1Kind === OpKind.Register) return registers.get(current.op1Register);
  const slot = stackSlot(current);
  return slot === undefined ? undefined : stack.get(slot);
}

function place(
  current: IcedInstruction,
  value: ArgumentRegister | undefined,
  registers: Registers,
  stack: Map<string, ArgumentRegister>,
): void {
  const { OpKind } = iced();
  const slot = current.op0Kind === OpKind.Memory ? stackSlot(current) : undefined;
  if (slot !== undefined && isMove(current)) {
    if (value) stack.set(slot, value);
    else stack.delete(slot);
  }
  if (value && current.op0Kind === OpKind.Register) registers.set(current.op0Register, value);
}

/** A place of the frame: `rsp` or `rbp` and a displacement. */
function stackSlot(current: IcedInstruction): string | undefined {
  const { Register } = iced();
  const base = current.memoryBase;
  if ((base !== Register.RSP && base !== Register.RBP) || current.memoryIndex !== Register.None)
    return undefined;
  return `${base} ${current.memoryDisplacement}`;
}

function forgetScratch(registers: Registers): void {
  for (const register of registers.keys()) if (!isKept(register)) registers.delete(register);
}
