import type { Instruction as IcedInstruction, InstructionInfoFactory, OpAccess } from 'iced-x86';
import type { Svma } from '../base/address.ts';
import { iced } from './iced.ts';
import { branchTargetOf } from './operands.ts';
import { hasRefusedPrefix, isBrokenByUprobe } from './uprobe.ts';

/** Full 64-bit names; a write to `edi` or `dil` is a write to `rdi`. */
export const ARGUMENT_REGISTERS = ['rdi', 'rsi', 'rdx', 'rcx', 'r8', 'r9'] as const;
export type ArgumentRegister = (typeof ARGUMENT_REGISTERS)[number];

/** `straight`: the next instruction follows. `transfer`: jumps, returns, traps. `invalid`: no instruction. */
export type Flow = 'straight' | 'call' | 'transfer' | 'invalid';

export interface Instruction {
  /** Distance from the function's entry, bytes. */
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly flow: Flow;
}

export interface Jump {
  /** Distance from the function's entry, may lie outside; undefined when the instruction doesn't tell. */
  readonly target: number | undefined;
}

/** Machine code from a function's entry. */
export interface Code {
  readonly svma: Svma;
  readonly bytes: Uint8Array;
}

/** Walks a function from its start. Owns wasm objects: use with `using`. */
export class FunctionDecoder implements Disposable {
  readonly #code: Code;
  readonly #decoder;
  readonly #current: IcedInstruction;
  readonly #info: InstructionInfoFactory;
  #position = 0;

  constructor(code: Code) {
    const { Decoder, DecoderOptions, Instruction, InstructionInfoFactory } = iced();
    this.#code = code;
    this.#decoder = new Decoder(64, code.bytes, DecoderOptions.None);
    this.#decoder.ip = BigInt(code.svma);
    this.#current = new Instruction();
    this.#info = new InstructionInfoFactory();
  }

  /** The next instruction, or undefined at the end. Bytes that are none are passed one by one. */
  next(): Instruction | undefined {
    if (!this.#decoder.canDecode) return undefined;
    this.#decoder.decodeOut(this.#current);
    const offset = this.#position;
    const flow = this.#flow();
    if (flow === 'invalid') this.#skipTo(offset + 1);
    else this.#position += this.#current.length;
    const bytes = this.#code.bytes.subarray(offset, this.#position);
    return { offset, bytes, flow };
  }

  /**
   * The next jump, or undefined at the end; bytes that are no instruction count as a jump to anywhere. Much
   * faster than `next`, which must not be called on the same decoder.
   */
  nextJump(): Jump | undefined {
    while (this.#decoder.canDecode) {
      this.#decoder.decodeOut(this.#current);
      const jump = this.jump();
      if (jump) return jump;
    }
    return undefined;
  }

  /** Where the current instruction may jump to, or undefined when it does not jump. */
  jump(): Jump | undefined {
    const { FlowControl } = iced();
    const flow = this.#current.flowControl;
    if (flow === FlowControl.Next || flow === FlowControl.Call) return undefined;
    if (flow === FlowControl.ConditionalBranch || flow === FlowControl.UnconditionalBranch)
      return { target: this.#branchTarget() };
    const unclear = flow === FlowControl.IndirectBranch || flow === FlowControl.XbeginXabortXend;
    return unclear || this.#current.isInvalid ? { target: undefined } : undefined;
  }

  /** The instruction returned last, for finders of this folder; overwritten by `next`. */
  get current(): IcedInstruction {
    return this.#current;
  }

  /** Argument registers that the instruction returned last may change. */
  writes(): readonly ArgumentRegister[] {
    const written = this.written();
    return ARGUMENT_REGISTERS.filter((name) => written.has(registerNumber(name)));
  }

  /** Full registers, as iced numbers them, that the instruction returned last itself changes. */
  written(): ReadonlySet<number> {
    const { OpAccess } = iced();
    return this.#registers((access) => access !== OpAccess.Read && access !== OpAccess.CondRead);
  }

  /** Full registers whose value the instruction returned last reads; `push` only saves it. */
  read(): ReadonlySet<number> {
    const { OpAccess, Mnemonic } = iced();
    if (this.#current.mnemonic === Mnemonic.Push) return new Set();
    return this.#registers((access) => access !== OpAccess.Write && access !== OpAccess.CondWrite);
  }

  #registers(wanted: (access: OpAccess) => boolean): ReadonlySet<number> {
    const { RegisterExt } = iced();
    const found = new Set<number>();
    const info = this.#info.info(this.#current);
    for (const used of info.usedRegisters()) {
      if (wanted(used.access)) found.add(RegisterExt.fullRegister(used.register));
      used.free();
    }
    info.free();
    return found;
  }

  /** Intel syntax; addresses are svmas. */
  text(): string {
    const { Formatter, FormatterSyntax } = iced();
    const formatter = new Formatter(FormatterSyntax.Intel);
    formatter.hexPrefix = '0x';
    formatter.hexSuffix = '';
    formatter.uppercaseHex = false;
    formatter.spaceAfterOperandSeparator = true;
    formatter.branchLeadingZeros = false;
    formatter.showBranchSize = false;
    const text = formatter.format(this.#current);
    formatter.free();
    return text;
  }

  /** False for what no uprobe can be put on and for what is too odd to trust: privileged, traps, VEX. */
  probeable(bytes: Uint8Array): boolean {
    const { FlowControl, EncodingKind } = iced();
    const current = this.#current;
    const flow = current.flowControl;
    const traps = [FlowControl.Interrupt, FlowControl.Exception, FlowControl.XbeginXabortXend];
    if (current.isPrivileged || current.encoding !== EncodingKind.Legacy || traps.includes(flow))
      return false;
    if (flow === FlowControl.Call && !current.isCallNear) return false;
    return !hasRefusedPrefix(bytes, flow !== FlowControl.Next) && !isBrokenByUprobe(bytes);
  }

  [Symbol.dispose](): void {
    this.#decoder.free();
    this.#current.free();
    this.#info.free();
  }

  #skipTo(position: number): void {
    this.#position = position;
    this.#decoder.position = position;
    this.#decoder.ip = BigInt(this.#code.svma + position);
  }

  #flow(): Flow {
    const { FlowControl } = iced();
    if (this.#current.isInvalid) return 'invalid';
    const flow = this.#current.flowControl;
    if (flow === FlowControl.Next) return 'straight';
    return flow === FlowControl.Call || flow === FlowControl.IndirectCall ? 'call' : 'transfer';
  }

  #branchTarget(): number | undefined {
    if (this.#current.op0Kind !== iced().OpKind.NearBranch64) return undefined;
    return branchTargetOf(this.#current) - this.#code.svma;
  }
}

/** As iced numbers it. */
export function registerNumber(name: ArgumentRegister): number {
  const { Register } = iced();
  const numbers = {
    rdi: Register.RDI,
    rsi: Register.RSI,
    rdx: Register.RDX,
    rcx: Register.RCX,
    r8: Register.R8,
    r9: Register.R9,
  };
  return numbers[name];
}
