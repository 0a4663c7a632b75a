import { iced } from './iced.ts';
import { type Code, FunctionDecoder } from './instruction.ts';
import type { NoSite } from './site.ts';

/**
 * Offset of the byte that a function which gets a pointer in rdi looks at first, when a byte of the pointed-to
 * memory is the first it looks at:
 *
 *     mov   rbx, rdi
 *     movzx eax, byte ptr [rdi + offset]      or cmp byte ptr [rdi + offset], value
 *
 * In the drop glue of an async function's future that is the state: 0 not begun, 1 returned, 2 panicked,
 * from 3 on suspended.
 */
export function stateByte(code: Code): { readonly offset: number } | NoSite {
  const { Register, OpKind, Code: Opcode } = iced();
  using decoder = new FunctionDecoder(code);
  const copies = new Set<number>([Register.RDI]);
  for (let one = decoder.next(); one?.flow === 'straight'; one = decoder.next()) {
    const { current } = decoder;
    const { code: opcode, memoryBase, op0Register, op1Register } = current;
    const memory = [current.op0Kind, current.op1Kind].includes(OpKind.Memory) && opcode !== Opcode.Lea_r64_m;
    if (memory && copies.has(memoryBase)) {
      const looks = opcode === Opcode.Movzx_r32_rm8 || opcode === Opcode.Cmp_rm8_imm8;
      const offset = Number(current.memoryDisplacement);
      if (looks && current.memoryIndex === Register.None && offset >= 0 && offset < 0xffff) return { offset };
      return { reason: `its first access is ${decoder.text()}` };
    }
    const copied = opcode === Opcode.Mov_r64_rm64 || opcode === Opcode.Mov_rm64_r64;
    const copy = copied && !memory && copies.has(op1Register);
    for (const register of decoder.written()) copies.delete(register);
    if (copy) copies.add(op0Register);
  }
  return { reason: 'its first instructions look at no byte behind rdi' };
}
