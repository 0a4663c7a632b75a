import type { Instruction as IcedInstruction, InstructionInfoFactory } from 'iced-x86';
import { iced } from './iced.ts';
import type { Code } from './instruction.ts';
import { isKept } from './kept-registers.ts';

/** A read or write of thread-local memory. */
export interface ThreadAccess {
  /** From the thread pointer (fs base), bytes; negative in executables. */
  readonly offset: number;
  readonly size: number;
  readonly read: boolean;
  readonly write: boolean;
}

/** Accesses of a whole function to thread-local memory, in the order of its code; up to bytes that are no instruction. */
export function threadAccesses(code: Code): readonly ThreadAccess[] {
  const { Decoder, DecoderOptions, Instruction } = iced();
  const decoder = new Decoder(64, code.bytes, DecoderOptions.None);
  decoder.ip = BigInt(code.svma);
  const current = new Instruction();
  const tracker = new ThreadPointerTracker();
  while (decoder.canDecode) {
    decoder.decodeOut(current);
    if (current.isInvalid) break;
    tracker.step(current);
  }
  decoder.free();
  current.free();
  return tracker.finish();
}

/**
 * Follows the thread pointer and constants through the registers of a function, in the order of its code:
 *
 *     mov rax, fs:[0]          rax is the thread pointer
 *     lea rax, [rax - 0x178]   rax points to a thread-local variable
 *     mov rcx, [rax + 0x30]    an access at −0x178 + 0x30
 *     mov r12, −0x178          and
 *     mov rcx, fs:[r12 + 0x30] the same
 *     mov rcx, fs:[−0x148]     the same
 *
 * It does not follow jumps: where two ways join, what it takes for a register's value may be that of the other way.
 */
class ThreadPointerTracker {
  readonly #pointers = new Map<number, number>();
  readonly #constants = new Map<number, number>();
  readonly #accesses: ThreadAccess[] = [];
  readonly #info: InstructionInfoFactory = new (iced().InstructionInfoFactory)();
  step(current: IcedInstruction): void {
    const { Register, Code: Opcode, OpKind } = iced();
    const fs = current.segmentPrefix === Register.FS;
    const constant = current.code === Opcode.Mov_rm64_imm32 && current.op0Kind === OpKind.Register;
    if (!fs && !constant && this.#pointers.size + this.#constants.size === 0) return;
    this.#note(current, fs);
    const result = this.#result(current, fs);
    this.#forget(current);
    if (constant) this.#constants.set(current.op0Register, Number(BigInt.asIntN(64, current.immediate(1))));
    if (result) result[0].set(result[1], result[2]);
  }

  finish(): readonly ThreadAccess[] {
    this.#info.free();
    return this.#accesses;
  }

  /** Which map gets which register with which value. */
  #result(current: IcedInstruction, fs: boolean): readonly [Map<number, number>, number, number] | undefined {
    const { Code: Opcode, Register, OpKind } = iced();
    const { code, op0Register, op1Register, memoryBase } = current;
    const displacement = Number(BigInt.asIntN(64, current.memoryDisplacement));
    const load = code === Opcode.Mov_r64_rm64 && current.op1Kind === OpKind.Memory;
    if (
      load &&
      fs &&
      memoryBase === Register.None &&
      displacement === 0 &&
      current.memoryIndex === Register.None
    )
      return [this.#pointers, op0Register, 0];
    const base = this.#pointers.get(memoryBase);
    if (code === Opcode.Lea_r64_m && base !== undefined && current.memoryIndex === Register.None)
      return [this.#pointers, op0Register, base + displacement];
    const copy =
      (code === Opcode.Mov_r64_rm64 || code === Opcode.Mov_rm64_r64) && current.op0Kind === OpKind.Register;
    if (!copy || current.op1Kind !== OpKind.Register) return this.#sum(current);
    for (const map of [this.#pointers, this.#constants]) {
      const value = map.get(op1Register);
      if (value !== undefined) return [map, op0Register, value];
    }
    return undefined;
  }

  /** `add r, imm` of a pointer, `add r, fs:[0]` of a constant. */
  #sum(current: IcedInstruction): readonly [Map<number, number>, number, number] | undefined {
    const { Code: Opcode, Register } = iced();
    const { code, op0Register } = current;
    const pointer = this.#pointers.get(op0Register);
    if (pointer !== undefined && (code === Opcode.Add_rm64_imm32 || code === Opcode.Add_rm64_imm8))
      return [this.#pointers, op0Register, pointer + Number(BigInt.asIntN(64, current.immediate(1)))];
    const constant = this.#constants.get(op0Register);
    const plain = current.segmentPrefix === Register.FS && current.memoryBase === Register.None;
    if (constant !== undefined && code === Opcode.Add_r64_rm64 && plain && current.memoryDisplacement === 0n)
      return [this.#pointers, op0Register, constant];
    return undefined;
  }

  #note(current: IcedInstruction, fs: boolean): void {
    const { Code: Opcode, Register, OpKind, OpAccess, MemorySizeExt } = iced();
    const memory =
      current.op0Kind === OpKind.Memory || (current.opCount > 1 && current.op1Kind === OpKind.Memory);
    if (!memory || current.code === Opcode.Lea_r64_m || current.memoryIndex !== Register.None) return;
    const base = current.memoryBase;
    const start = fs ? (base === Register.None ? 0 : this.#constants.get(base)) : this.#pointers.get(base);
    const displacement = Number(BigInt.asIntN(64, current.memoryDisplacement));
    if (start === undefined || (fs && base === Register.None && displacement === 0)) return;
    const info = this.#info.info(current);
    const used = info.usedMemory();
    const accesses = used.map(({ access }) => access as number);
    for (const one of used) one.free();
    info.free();
    this.#accesses.push({
      offset: start + displacement,
      size: MemorySizeExt.size(current.memorySize),
      read: accesses.some((one) => one !== OpAccess.Write && one !== OpAccess.CondWrite),
      write: accesses.some((one) => one !== OpAccess.Read && one !== OpAccess.CondRead),
    });
  }

  #forget(current: IcedInstruction): void {
    const { FlowControl, OpAccess, RegisterExt } = iced();
    if (this.#pointers.size + this.#constants.size === 0) return;
    const info = this.#info.info(current);
    for (const used of info.usedRegisters()) {
      if (used.access !== OpAccess.Read && used.access !== OpAccess.CondRead)
        this.#drop(RegisterExt.fullRegister(used.register));
      used.free();
    }
    info.free();
    const flow = current.flowControl;
    if (flow !== FlowControl.Call && flow !== FlowControl.IndirectCall) return;
    for (const register of [...this.#pointers.keys(), ...this.#constants.keys()])
      if (!isKept(register)) this.#drop(register);
  }

  #drop(register: number): void {
    this.#pointers.delete(register);
    this.#constants.delete(register);
  }
}
