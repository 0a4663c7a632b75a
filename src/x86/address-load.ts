import { iced } from './iced.ts';
import { type Code, FunctionDecoder } from './instruction.ts';
import type { Site } from './site.ts';

/**
 * Where a function loads the address of something in its program: `lea r64, [rip + disp32]`. Compilers do it where it
 * is used, so it runs when that place is reached. `code` is a whole function.
 */
export function loadSites(code: Code, address: number): readonly Site[] {
  const { Code: Opcode } = iced();
  using decoder = new FunctionDecoder(code);
  const found: Site[] = [];
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next()) {
    const { current } = decoder;
    if (current.code !== Opcode.Lea_r64_m || !current.isIpRelMemoryOperand) continue;
    if (Number(BigInt.asIntN(64, current.ipRelMemoryAddress)) !== address) continue;
    if (decoder.probeable(one.bytes))
      found.push({ offset: one.offset, instruction: decoder.text(), cost: 'single-stepped' });
  }
  return found;
}

/** Registers that can carry the pointer to a large argument; the first is the place for a large result when there is one. */
export const POINTER_REGISTERS = { rsi: 6, rdx: 2 } as const;

/**
 * Which of rsi and rdx a function takes for a pointer to something that reaches beyond `size` bytes: the one behind
 * which it reads there first. Looks at its first block.
 */
export function pointerArgument(code: Code, size: number): keyof typeof POINTER_REGISTERS | undefined {
  const { Code: Opcode, OpKind, Register } = iced();
  using decoder = new FunctionDecoder(code);
  const copies = new Map<number, keyof typeof POINTER_REGISTERS>([
    [Register.RSI, 'rsi'],
    [Register.RDX, 'rdx'],
  ]);
  for (let one = decoder.next(); one?.flow === 'straight'; one = decoder.next()) {
    const { current } = decoder;
    const memory = [current.op0Kind, current.op1Kind].includes(OpKind.Memory);
    const behind = memory ? copies.get(current.memoryBase) : undefined;
    if (behind && current.code !== Opcode.Lea_r64_m && current.memoryDisplacement >= BigInt(size))
      return behind;
    const moved = current.code === Opcode.Mov_r64_rm64 || current.code === Opcode.Mov_rm64_r64;
    const copied = moved && !memory ? copies.get(current.op1Register) : undefined;
    for (const register of decoder.written()) copies.delete(register);
    if (copied) copies.set(current.op0Register, copied);
  }
  return undefined;
}
