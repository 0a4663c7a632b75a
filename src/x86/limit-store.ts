import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import { type Code, FunctionDecoder } from './instruction.ts';
import { LockMarks } from './lock-marks.ts';
import { displacementOf } from './operands.ts';

/** Where code compares a number with a limit that it sets to that number next. */
export interface LimitStore {
  /** Of the jump behind the comparison, bytes from the function's start. */
  readonly offset: number;
  /** By their numbers in x86 encodings: the register with the number, and what points to what a lock guards. */
  readonly number: number;
  readonly base: number;
  /** From there to the lock. */
  readonly lock: number;
  /** Where jumps shortly before the comparison lead, bytes from the function's start. */
  readonly exits: readonly number[];
}

interface Word {
  readonly base: number;
  readonly displacement: number;
  readonly register: number;
}

interface Compared extends Word {
  readonly at: number;
  readonly lock: number | undefined;
  readonly exits: readonly number[];
  jump: number | undefined;
}

/** From a comparison to its jump, instructions. */
const TO_JUMP = 3;
const EXITS = 4;

/**
 *     movzx eax, byte ptr [r8 + lock + 4]        whether a thread has panicked that held the lock
 *     …
 *     cmp   ecx, dword ptr [r8 + limit]
 *     jbe   accepted
 *     …
 *     mov   dword ptr [r8 + limit], ecx
 */
export function limitStores(code: Code): readonly LimitStore[] {
  using decoder = new FunctionDecoder(code);
  const compared: Compared[] = [];
  const stored: Word[] = [];
  const marks = new LockMarks();
  const exits: number[] = [];
  let at = 0;
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next(), at++) {
    const { current } = decoder;
    const last = compared.at(-1);
    const written = decoder.written();
    const waits = last !== undefined && last.jump === undefined && at - last.at <= TO_JUMP;
    if (waits && isUnsigned(current)) last.jump = one.offset;
    if (waits && (written.has(fullRegister(last.register)) || written.has(last.base))) compared.pop();
    const target = decoder.jump()?.target;
    if (target !== undefined) exits.push(target);
    const word = wordOf(current);
    const lock = word && marks.lockBehind(word.base, at);
    marks.note(current, written, at);
    if (word?.stores) stored.push(word);
    else if (word) compared.push({ ...word, at, lock, exits: exits.slice(-EXITS), jump: undefined });
  }
  const { Register } = iced();
  return compared.flatMap(({ base, displacement, register, jump, lock, exits: before }) => {
    const isSet = stored.some(
      (each) => each.base === base && each.displacement === displacement && each.register === register,
    );
    if (jump === undefined || lock === undefined || !isSet) return [];
    return [
      { offset: jump, number: register - Register.EAX, base: base - Register.RAX, lock, exits: before },
    ];
  });
}

const fullRegister = (register: number): number => iced().RegisterExt.fullRegister(register);

function isUnsigned(current: IcedInstruction): boolean {
  const { ConditionCode } = iced();
  return [ConditionCode.a, ConditionCode.ae, ConditionCode.b, ConditionCode.be].includes(
    current.conditionCode,
  );
}

/** `cmp` of a register with a 32-bit word, or a `mov` into it. */
function wordOf(current: IcedInstruction): (Word & { readonly stores: boolean }) | undefined {
  const { Code: Opcode, OpKind, Register } = iced();
  const { code, op0Kind, op1Kind, memoryBase, memoryIndex } = current;
  const stores = code === Opcode.Mov_rm32_r32 && op0Kind === OpKind.Memory;
  const first = code === Opcode.Cmp_rm32_r32 && op0Kind === OpKind.Memory;
  const second = code === Opcode.Cmp_r32_rm32 && op1Kind === OpKind.Memory;
  if (!(stores || first || second) || memoryIndex !== Register.None || current.isIpRelMemoryOperand)
    return undefined;
  const register = second ? current.op0Register : current.op1Register;
  const displacement = displacementOf(current);
  return { base: memoryBase, displacement, register, stores };
}
