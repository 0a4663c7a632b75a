import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import { type Code, FunctionDecoder, type Instruction } from './instruction.ts';
import { isKept } from './kept-registers.ts';
import { displacementOf } from './operands.ts';

/** What a slot of the global offset table points to. */
export type PointedTo = (slot: number) => number | undefined;

/**
 * Addresses of the 64-bit variables to which a function adds 1 atomically and uses the result:
 *
 *     mov  rax, [rip + pointer]      or lea rax, [rip + variable], or neither
 *     mov  ecx, 1                    or push 1; pop rcx
 *     lock xadd [rax], rcx           or [rip + variable]
 *
 * Each once, sorted. Registers are followed along the code, not along its jumps.
 */
export function countersIn(code: Code, pointedTo: PointedTo): readonly number[] {
  using decoder = new FunctionDecoder(code);
  const addresses = new Map<number, number>();
  const ones = new Set<number>();
  const found = new Set<number>();
  let pushed = false;
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next()) {
    const { current } = decoder;
    const counter = addedTo(current, addresses, ones);
    if (counter !== undefined) found.add(counter);
    const address = loadedAddress(current, pointedTo);
    const copied = copiedRegister(current);
    const value = copied === undefined ? undefined : addresses.get(copied);
    const isOne =
      (copied !== undefined && ones.has(copied)) || (pushed && current.code === iced().Code.Pop_r64);
    forget(decoder, one, addresses, ones);
    if (address !== undefined) addresses.set(current.op0Register, address);
    else if (value !== undefined) addresses.set(current.op0Register, value);
    const ready = isOne ? current.op0Register : loadsOne(current);
    if (ready !== undefined) ones.add(ready);
    pushed = current.code === iced().Code.Pushq_imm8 && current.immediate(0) === 1n;
  }
  return [...found].sort((a, b) => a - b);
}

function addedTo(
  current: IcedInstruction,
  addresses: ReadonlyMap<number, number>,
  ones: ReadonlySet<number>,
): number | undefined {
  const { Code: Opcode, Register } = iced();
  if (current.code !== Opcode.Xadd_rm64_r64 || !current.hasLockPrefix || !ones.has(current.op1Register))
    return undefined;
  if (current.isIpRelMemoryOperand) return Number(BigInt.asIntN(64, current.ipRelMemoryAddress));
  if (current.memoryIndex !== Register.None) return undefined;
  const base = current.memoryBase === Register.None ? 0 : addresses.get(current.memoryBase);
  const displacement = displacementOf(current);
  return base === undefined ? undefined : base + displacement;
}

function loadedAddress(current: IcedInstruction, pointedTo: PointedTo): number | undefined {
  const { Code: Opcode } = iced();
  if (!current.isIpRelMemoryOperand) return undefined;
  const address = Number(BigInt.asIntN(64, current.ipRelMemoryAddress));
  if (current.code === Opcode.Lea_r64_m) return address;
  return current.code === Opcode.Mov_r64_rm64 ? pointedTo(address) : undefined;
}

function copiedRegister(current: IcedInstruction): number | undefined {
  const { Code: Opcode, OpKind } = iced();
  const move = current.code === Opcode.Mov_r64_rm64 || current.code === Opcode.Mov_rm64_r64;
  return move && current.op0Kind === OpKind.Register && current.op1Kind === OpKind.Register
    ? current.op1Register
    : undefined;
}

/** The full register that is set to 1. */
function loadsOne(current: IcedInstruction): number | undefined {
  const { Code: Opcode, OpKind, RegisterExt } = iced();
  const sets = [Opcode.Mov_r32_imm32, Opcode.Mov_rm32_imm32, Opcode.Mov_rm64_imm32].includes(current.code);
  if (!sets || current.op0Kind !== OpKind.Register || current.immediate(1) !== 1n) return undefined;
  return RegisterExt.fullRegister(current.op0Register);
}

function forget(
  decoder: FunctionDecoder,
  one: Instruction,
  addresses: Map<number, number>,
  ones: Set<number>,
): void {
  if (addresses.size + ones.size === 0) return;
  const written = decoder.written();
  const lost = (register: number) => written.has(register) || (one.flow === 'call' && !isKept(register));
  for (const register of addresses.keys()) if (lost(register)) addresses.delete(register);
  for (const register of ones) if (lost(register)) ones.delete(register);
}
