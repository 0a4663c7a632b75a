import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import {
  ARGUMENT_REGISTERS,
  type ArgumentRegister,
  type Code,
  type Flow,
  FunctionDecoder,
  registerNumber,
} from './instruction.ts';
import { isKept } from './kept-registers.ts';
import { displacementOf } from './operands.ts';

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
  const found = new Set<number>();
  follow(code, argument, (current, values, flow) => {
    const seen = accessed(current, values);
    if (seen !== undefined) found.add(seen);
    if (flow === 'call') for (const place of handedOn(values)) found.add(place);
  });
  return found;
}

/** Constants that a function compares the first word behind an argument with, or subtracts from it. */
export function comparedFirstWord(code: Code, argument: ArgumentRegister): ReadonlySet<number> {
  const { Mnemonic, OpKind } = iced();
  const found = new Set<number>();
  follow(code, argument, (current, values) => {
    const compares = current.mnemonic === Mnemonic.Cmp || current.mnemonic === Mnemonic.Sub;
    const constant = current.op1Kind >= OpKind.Immediate8 && current.op1Kind <= OpKind.Immediate32to64;
    if (compares && constant && isFirstWord(current, values)) found.add(Number(current.immediate(1)));
  });
  return found;
}

function isFirstWord(current: IcedInstruction, values: Values): boolean {
  const { OpKind, RegisterExt } = iced();
  if (current.op0Kind === OpKind.Register)
    return values.get(RegisterExt.fullRegister(current.op0Register)) === 0;
  return values.get(current.memoryBase) === 'argument' && displacementOf(current) === 0;
}

type Visit = (current: IcedInstruction, values: Values, flow: Flow) => void;

/** `visit` sees each instruction and what is known before it. */
function follow(code: Code, argument: ArgumentRegister, visit: Visit): void {
  using decoder = new FunctionDecoder(code);
  const values: Values = new Map([[registerNumber(argument), 'argument']]);
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next()) {
    const { current } = decoder;
    visit(current, values, one.flow);
    const result = resultOf(current, values);
    for (const register of decoder.written()) values.delete(register);
    if (one.flow === 'call')
      for (const register of values.keys()) if (!isKept(register)) values.delete(register);
    if (result !== undefined) values.set(current.op0Register, result);
  }
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
