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
  /** Of the variable that the access is in, where a function told its address. */
  readonly start: number | undefined;
}

/** A function that tells the address of a thread-local variable. */
export interface ThreadAccessor {
  /** Of the variable, from the thread pointer. */
  readonly start: number;
  /** Thread-local memory that it looks at before. */
  readonly accesses: readonly ThreadAccess[];
}

/** The function at an svma, if it is such a one. */
export type AccessorAt = (svma: number) => ThreadAccessor | undefined;

/**
 * Accesses of a whole function to thread-local memory, in the order of its code; up to bytes that are no instruction.
 * What the functions that tell it addresses look at is its own.
 */
export function threadAccesses(
  code: Code,
  accessorAt: AccessorAt = () => undefined,
): readonly ThreadAccess[] {
  return track(code, accessorAt).accesses;
}

/**
 * Whether the function returns the address of one thread-local variable, as those of std's `LocalKey` do, which may return
 * 0 as well:
 *
 *     mov   rax, fs:[0]
 *     lea   rbx, [rax - 0x200]
 *     movzx eax, byte ptr fs:[-0x1b8]      whether it is alive
 *     …
 *     mov   rax, rbx
 *     ret
 */
export function threadAccessor(code: Code): ThreadAccessor | undefined {
  const { accesses, returned } = track(code, () => undefined);
  const [start, ...others] = returned;
  return start === undefined || others.length > 0 ? undefined : { start, accesses };
}

function track(code: Code, accessorAt: AccessorAt): Tracked {
  const { Decoder, DecoderOptions, Instruction } = iced();
  const decoder = new Decoder(64, code.bytes, DecoderOptions.None);
  decoder.ip = BigInt(code.svma);
  const current = new Instruction();
  const tracker = new ThreadPointerTracker(accessorAt);
  while (decoder.canDecode) {
    decoder.decodeOut(current);
    if (current.isInvalid) break;
    tracker.step(current);
  }
  decoder.free();
  current.free();
  return tracker.finish();
}

interface Tracked {
  readonly accesses: readonly ThreadAccess[];
  /** Where what is in rax at its returns points to. */
  readonly returned: ReadonlySet<number>;
}

interface Value {
  /** `pointer`: to so many bytes from the thread pointer. `constant`: that number. */
  readonly kind: 'pointer' | 'constant';
  readonly offset: number;
  /** Of the variable, where a function told it. */
  readonly start: number | undefined;
}

type Registers = Map<number, Value>;

/**
 * Follows the thread pointer and constants through the registers of a function, in the order of its code:
 *
 *     mov rax, fs:[0]          rax is the thread pointer
 *     lea rax, [rax - 0x178]   rax points to a thread-local variable
 *     mov rcx, [rax + 0x30]    an access at −0x178 + 0x30
 *     mov r12, −0x178          and
 *     mov rcx, fs:[r12 + 0x30] the same
 *     mov rcx, fs:[−0x148]     the same
 *     call accessor            rax points to what that function tells
 *
 * What a jump forward takes along is known where it leads, if nothing else is: where two ways join, what it takes for a
 * register's value may be that of the other way.
 */
class ThreadPointerTracker {
  readonly #accessorAt: AccessorAt;
  readonly #values: Registers = new Map();
  /** By address: what jumps take along. */
  readonly #arriving = new Map<bigint, Registers>();
  readonly #accesses: ThreadAccess[] = [];
  readonly #returned = new Set<number>();
  readonly #info: InstructionInfoFactory = new (iced().InstructionInfoFactory)();

  constructor(accessorAt: AccessorAt) {
    this.#accessorAt = accessorAt;
  }

  step(current: IcedInstruction): void {
    const { Register, Code: Opcode, OpKind } = iced();
    this.#arrive(current.ip);
    const fs = current.segmentPrefix === Register.FS;
    const constant = current.code === Opcode.Mov_rm64_imm32 && current.op0Kind === OpKind.Register;
    const called = current.isCallNear ? this.#accessorAt(Number(current.nearBranchTarget)) : undefined;
    if (!fs && !constant && !called && this.#values.size === 0) return;
    this.#note(current, fs);
    this.#leave(current);
    const result = this.#result(current, fs);
    this.#forget(current);
    if (result) this.#values.set(current.op0Register, result);
    if (called) this.#values.set(Register.RAX, pointerTo(called.start, called.start));
  }

  finish(): Tracked {
    this.#info.free();
    return { accesses: this.#accesses, returned: this.#returned };
  }

  #arrive(at: bigint): void {
    const arriving = this.#arriving.get(at);
    if (!arriving) return;
    this.#arriving.delete(at);
    for (const [register, value] of arriving)
      if (!this.#values.has(register)) this.#values.set(register, value);
  }

  #leave(current: IcedInstruction): void {
    const { FlowControl, OpKind, Register } = iced();
    const flow = current.flowControl;
    const returned = flow === FlowControl.Return ? this.#values.get(Register.RAX) : undefined;
    if (returned?.kind === 'pointer' && returned.offset !== 0) this.#returned.add(returned.offset);
    const jumps = flow === FlowControl.ConditionalBranch || flow === FlowControl.UnconditionalBranch;
    if (!jumps || current.op0Kind !== OpKind.NearBranch64) return;
    const target = current.nearBranchTarget;
    if (target > current.ip && !this.#arriving.has(target)) this.#arriving.set(target, new Map(this.#values));
  }

  /** What the instruction puts into its first operand. */
  #result(current: IcedInstruction, fs: boolean): Value | undefined {
    const { Code: Opcode, Register, OpKind } = iced();
    const { code, memoryBase } = current;
    const toRegister = current.op0Kind === OpKind.Register;
    if (code === Opcode.Mov_rm64_imm32 && toRegister)
      return { kind: 'constant', offset: signed(current.immediate(1)), start: undefined };
    const plain = fs && memoryBase === Register.None && current.memoryIndex === Register.None;
    const loads = code === Opcode.Mov_r64_rm64 && current.op1Kind === OpKind.Memory;
    if (loads && plain && current.memoryDisplacement === 0n) return pointerTo(0);
    const base = this.#pointer(memoryBase);
    if (code === Opcode.Lea_r64_m && base && current.memoryIndex === Register.None)
      return pointerTo(base.offset + signed(current.memoryDisplacement), base.start);
    const copies = (code === Opcode.Mov_r64_rm64 || code === Opcode.Mov_rm64_r64) && toRegister;
    if (copies && current.op1Kind === OpKind.Register) return this.#values.get(current.op1Register);
    return this.#sum(current);
  }

  /** `add r, imm` of a pointer, `add r, fs:[0]` of a constant. */
  #sum(current: IcedInstruction): Value | undefined {
    const { Code: Opcode, Register } = iced();
    const { code, op0Register } = current;
    const value = this.#values.get(op0Register);
    if (value?.kind === 'pointer' && (code === Opcode.Add_rm64_imm32 || code === Opcode.Add_rm64_imm8))
      return pointerTo(value.offset + signed(current.immediate(1)), value.start);
    const plain = current.segmentPrefix === Register.FS && current.memoryBase === Register.None;
    if (
      value?.kind === 'constant' &&
      code === Opcode.Add_r64_rm64 &&
      plain &&
      current.memoryDisplacement === 0n
    )
      return pointerTo(value.offset);
    return undefined;
  }

  #pointer(register: number): Value | undefined {
    const value = this.#values.get(register);
    return value?.kind === 'pointer' ? value : undefined;
  }

  #note(current: IcedInstruction, fs: boolean): void {
    const { Code: Opcode, Register, OpKind, OpAccess, MemorySizeExt } = iced();
    const memory =
      current.op0Kind === OpKind.Memory || (current.opCount > 1 && current.op1Kind === OpKind.Memory);
    if (!memory || current.code === Opcode.Lea_r64_m || current.memoryIndex !== Register.None) return;
    const base = this.#baseOf(current.memoryBase, fs);
    const displacement = signed(current.memoryDisplacement);
    const isThreadPointer = fs && current.memoryBase === Register.None && displacement === 0;
    if (base === undefined || isThreadPointer) return;
    const info = this.#info.info(current);
    const used = info.usedMemory();
    const accesses = used.map(({ access }) => access as number);
    for (const one of used) one.free();
    info.free();
    this.#accesses.push({
      offset: base.offset + displacement,
      size: MemorySizeExt.size(current.memorySize),
      read: accesses.some((one) => one !== OpAccess.Write && one !== OpAccess.CondWrite),
      write: accesses.some((one) => one !== OpAccess.Read && one !== OpAccess.CondRead),
      start: base.start,
    });
  }

  #baseOf(register: number, fs: boolean): Value | undefined {
    if (!fs) return this.#pointer(register);
    if (register === iced().Register.None) return pointerTo(0);
    const value = this.#values.get(register);
    return value?.kind === 'constant' ? value : undefined;
  }

  #forget(current: IcedInstruction): void {
    const { FlowControl, OpAccess, RegisterExt } = iced();
    if (this.#values.size === 0) return;
    const info = this.#info.info(current);
    for (const used of info.usedRegisters()) {
      if (used.access !== OpAccess.Read && used.access !== OpAccess.CondRead)
        this.#values.delete(RegisterExt.fullRegister(used.register));
      used.free();
    }
    info.free();
    const flow = current.flowControl;
    if (flow !== FlowControl.Call && flow !== FlowControl.IndirectCall) return;
    for (const register of [...this.#values.keys()]) if (!isKept(register)) this.#values.delete(register);
  }
}

const pointerTo = (offset: number, start?: number): Value => ({ kind: 'pointer', offset, start });

const signed = (value: bigint): number => Number(BigInt.asIntN(64, value));
