import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import type { Code } from './instruction.ts';

/** What the instructions of one function say, addresses being svmas. */
export interface FunctionFacts {
  /** Its first byte that is not the start of an instruction; undefined when all are. */
  readonly brokenAt: number | undefined;
  /** Ends of the instructions that refer to memory by the instruction pointer, or call or jump to an address. */
  readonly relativeEnds: ReadonlySet<number>;
  /** Ends of instructions with an immediate of 32 bits or more. */
  readonly immediateEnds: ReadonlySet<number>;
  /** Values that it compares something with. */
  readonly compared: ReadonlySet<number>;
  /** Whether it has an atomic compare-and-exchange. */
  readonly exchanges: boolean;
}

/** Decodes a whole function once. */
export function functionFacts(code: Code): FunctionFacts {
  const { Decoder, DecoderOptions, Instruction } = iced();
  const decoder = new Decoder(64, code.bytes, DecoderOptions.None);
  decoder.ip = BigInt(code.svma);
  const current = new Instruction();
  const facts = {
    relativeEnds: new Set<number>(),
    immediateEnds: new Set<number>(),
    compared: new Set<number>(),
  };
  let brokenAt: number | undefined;
  let exchanges = false;
  let end = code.svma as number;
  while (decoder.canDecode && brokenAt === undefined) {
    decoder.decodeOut(current);
    if (current.isInvalid) brokenAt = end;
    else {
      end += current.length;
      exchanges ||= current.hasLockPrefix && current.mnemonic === iced().Mnemonic.Cmpxchg;
      note(current, end, facts);
    }
  }
  decoder.free();
  current.free();
  return { brokenAt, exchanges, ...facts };
}

interface Notes {
  readonly relativeEnds: Set<number>;
  readonly immediateEnds: Set<number>;
  readonly compared: Set<number>;
}

function note(current: IcedInstruction, end: number, facts: Notes): void {
  const { OpKind, Mnemonic } = iced();
  const [first, second] = [current.op0Kind, current.op1Kind];
  if (first === OpKind.NearBranch64 || current.isIpRelMemoryOperand) facts.relativeEnds.add(end);
  if (second < OpKind.Immediate8 || second > OpKind.Immediate32to64) return;
  if (second === OpKind.Immediate32 || second === OpKind.Immediate64) facts.immediateEnds.add(end);
  if (current.mnemonic === Mnemonic.Cmp) facts.compared.add(Number(current.immediate(1)));
}
