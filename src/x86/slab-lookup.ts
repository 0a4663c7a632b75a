import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import { type Code, FunctionDecoder } from './instruction.ts';
import { LockMarks } from './lock-marks.ts';

/** Where code has found the entry of a slab that a key names, number and all. */
export interface SlabLookup {
  /** Of the jump behind the last comparison, bytes from the function's start. */
  readonly offset: number;
  /** By their numbers in x86 encodings: the register with the key's own number, and what points to what a lock guards. */
  readonly number: number;
  readonly base: number;
  /** From there to the lock. */
  readonly lock: number;
  /** Where jumps before it lead, bytes from the function's start. */
  readonly exits: readonly number[];
}

/** Between the first comparison and the last, instructions. */
const WINDOW = 16;
const EXITS = 8;

/**
 * `slab[key.index]`, whose entry must have the key's number, else it panics at one place:
 *
 *     movzx eax, byte ptr [base + lock + 4]
 *     cmp  qword ptr [base + length], index     jbe  panic
 *     cmp  dword ptr [entries + index], 2       je   panic
 *     cmp  dword ptr [entry + place], number    jne  panic
 */
export function slabLookups(code: Code): readonly SlabLookup[] {
  const { ConditionCode, Register } = iced();
  using decoder = new FunctionDecoder(code);
  const recent: { readonly at: number; readonly condition: number; readonly target: number }[] = [];
  const found: SlabLookup[] = [];
  const marks = new LockMarks();
  let base: number | undefined;
  let number: number | undefined;
  let at = 0;
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next(), at++) {
    const { current } = decoder;
    const condition = current.conditionCode;
    const target = condition === ConditionCode.None ? undefined : decoder.jump()?.target;
    if (target !== undefined) {
      const to = (wanted: number) =>
        recent.some((each) => each.target === target && each.condition === wanted && at - each.at < WINDOW);
      const compared = to(ConditionCode.be) && to(ConditionCode.e);
      const lock = base === undefined ? undefined : marks.lockBehind(base, at);
      if (
        condition === ConditionCode.ne &&
        number !== undefined &&
        compared &&
        base !== undefined &&
        lock !== undefined
      )
        found.push({
          ...{ offset: one.offset, number: number - Register.EAX, base: base - Register.RAX, lock },
          exits: recent.slice(-EXITS).map((each) => each.target),
        });
      recent.push({ at, condition, target });
    }
    marks.note(current, decoder.written(), at);
    base = lengthCompared(current) ?? base;
    number = comparedNumber(current);
  }
  return found;
}

/** What the length of the slab is behind, in `cmp qword ptr [register + displacement], r64`. */
function lengthCompared(current: IcedInstruction): number | undefined {
  const { Code: Opcode, OpKind, Register } = iced();
  const compares = current.code === Opcode.Cmp_rm64_r64 && current.op0Kind === OpKind.Memory;
  return compares && current.memoryIndex === Register.None ? current.memoryBase : undefined;
}

/** The register of `cmp dword ptr [register + displacement], r32`. */
function comparedNumber(current: IcedInstruction): number | undefined {
  const { Code: Opcode, OpKind, Register } = iced();
  if (current.memoryIndex !== Register.None) return undefined;
  if (current.code === Opcode.Cmp_rm32_r32 && current.op0Kind === OpKind.Memory) return current.op1Register;
  if (current.code === Opcode.Cmp_r32_rm32 && current.op1Kind === OpKind.Memory) return current.op0Register;
  return undefined;
}
