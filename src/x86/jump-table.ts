import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import type { FunctionDecoder } from './instruction.ts';

/** A 32-bit word of the program's data. */
export type ReadWord = (address: number) => number | undefined;

const MAX_ENTRIES = 1024;
const ENTRY_SIZE = 4;

/**
 * Where a `match` jumps to by a table of distances from the table itself:
 *
 *     lea    rdx, [rip + table]
 *     movsxd rax, dword ptr [rdx + 4 * rcx]
 *     add    rax, rdx
 *     jmp    rax
 *
 * Registers are followed along straight code. A table ends where the next one of the function begins, or an entry leads out
 * of it: entries behind the real end may be taken for its own, none of its own is left out.
 */
export class JumpTables {
  readonly #read: ReadWord;
  readonly #start: number;
  readonly #size: number;
  /** Registers with the address of a table, with a distance out of it, with a target. */
  readonly #addresses = new Map<number, number>();
  readonly #distances = new Map<number, number>();
  readonly #targets = new Map<number, number>();
  readonly #known = new Set<number>();

  constructor(read: ReadWord, start: number, size: number) {
    this.#read = read;
    this.#start = start;
    this.#size = size;
  }

  /** Ways join here. */
  forget(): void {
    for (const map of [this.#addresses, this.#distances, this.#targets]) map.clear();
  }

  note(decoder: FunctionDecoder): void {
    const { Code: Opcode, Register, OpKind } = iced();
    const { current } = decoder;
    const { code, op0Register } = current;
    const table = code === Opcode.Lea_r64_m && current.isIpRelMemoryOperand;
    const from =
      code === Opcode.Movsxd_r64_rm32 &&
      current.memoryIndex !== Register.None &&
      current.memoryIndexScale === ENTRY_SIZE
        ? this.#addresses.get(current.memoryBase)
        : undefined;
    const adds =
      [Opcode.Add_r64_rm64, Opcode.Add_rm64_r64].includes(code) && current.op0Kind === OpKind.Register;
    const sum = adds && current.op1Kind === OpKind.Register ? this.#sum(current) : undefined;
    for (const register of decoder.written())
      for (const map of [this.#addresses, this.#distances, this.#targets]) map.delete(register);
    if (table) this.#addresses.set(op0Register, Number(BigInt.asIntN(64, current.ipRelMemoryAddress)));
    if (from !== undefined) this.#distances.set(op0Register, from);
    if (sum !== undefined) this.#targets.set(op0Register, sum);
  }

  #sum({ op0Register, op1Register }: IcedInstruction): number | undefined {
    const table = this.#distances.get(op0Register) ?? this.#distances.get(op1Register);
    const other = this.#addresses.get(op0Register) ?? this.#addresses.get(op1Register);
    return table === other ? table : undefined;
  }

  /** Offsets in the function; undefined when it is no such jump. */
  targetsOf(current: IcedInstruction): readonly number[] | undefined {
    if (current.flowControl !== iced().FlowControl.IndirectBranch) return undefined;
    const table = this.#targets.get(current.op0Register);
    return table === undefined ? undefined : this.#entries(table);
  }

  #entries(table: number): readonly number[] | undefined {
    this.#known.add(table);
    const end = Math.min(
      ...[...this.#known].filter((other) => other > table),
      table + MAX_ENTRIES * ENTRY_SIZE,
    );
    const found = new Set<number>();
    for (let at = table; at < end; at += ENTRY_SIZE) {
      const distance = this.#read(at);
      const target = table + ((distance ?? 0) | 0) - this.#start;
      if (distance === undefined || target < 0 || target >= this.#size) break;
      found.add(target);
    }
    return found.size > 0 ? [...found] : undefined;
  }
}
