import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import {
  ARGUMENT_REGISTERS,
  type ArgumentRegister,
  type Code,
  FunctionDecoder,
  registerNumber,
} from './instruction.ts';
import { isKept } from './kept-registers.ts';

/** What a register holds, by iced's number: the argument, or what its first word points to, so many bytes behind. */
type Values = Map<number, 'argument' | number>;

/**
 * Displacements at which a function looks behind the pointer that is the first word behind an argument, or hands it on:
 *
 *     mov  rsi, [rdi]      the pointer
 *     call lock            is handed on: 0
 *     mov  rax, [rsi + 16] 16
 *
 * Along the code, not along its jumps, and not by way of the stack: a sign and no proof.
 */
export function behindFirstWord(code: Code, argument: ArgumentRegister): ReadonlySet<number> {
  using decoder = new FunctionDecoder(code);
  const values: Values = new Map([[registerNumber(argument), 'argument']]);
  const found = new Set<number>();
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next()) {
    const { current } = decoder;
    const seen = accessed(current, values);
    if (seen !== undefined) found.add(seen);
    if (one.flow === 'call') for (const place of handedOn(values)) found.add(place);
    const result = resultOf(current, values);
    for (const register of decoder.written()) values.delete(register);
    if (one.flow === 'call')
      for (const register of values.keys()) if (!isKept(register)) values.delete(register);
    if (result !== undefined) values.set(current.op0Register, result);
  }
  return found;
}

function accessed(current: IcedInstruction, values: Values): number | undefined {
  const { Code: Opcode, Register } = iced();
  if (current.code === Opcode.Lea_r64_m || current.memoryIndex !== Register.None) return undefined;
  const base = values.get(current.memoryBase);
  return typeof base === 'number' ? base + displacementOf(current) : undefined;
}

const handedOn = (values: Values): readonly number[] =>
  ARGUMENT_REGISTERS.flatMap((name) => {
    const value = values.get(registerNumber(name));
    return typeof value === 'number' ? [value] : [];
  });

function resultOf(current: IcedInstruction, values: Values): 'argument' | number | undefined {
  const { Code: Opcode, OpKind, Register } = iced();
  const { code, op0Register } = current;
  if (current.op0Kind !== OpKind.Register || current.memoryIndex !== Register.None) return undefined;
  if (code === Opcode.Lea_r64_m) return moved(values.get(current.memoryBase), displacementOf(current));
  if (code === Opcode.Add_rm64_imm8 || code === Opcode.Add_rm64_imm32)
    return moved(values.get(op0Register), Number(BigInt.asIntN(64, current.immediate(1))));
  if (code !== Opcode.Mov_r64_rm64 && code !== Opcode.Mov_rm64_r64) return undefined;
  if (current.op1Kind === OpKind.Register) return values.get(current.op1Register);
  return values.get(current.memoryBase) === 'argument' && displacementOf(current) === 0 ? 0 : undefined;
}

const moved = (value: 'argument' | number | undefined, by: number): number | undefined =>
  typeof value === 'number' ? value + by : undefined;

const displacementOf = (current: IcedInstruction): number =>
  Number(BigInt.asIntN(64, current.memoryDisplacement));
