import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import { type Code, FunctionDecoder } from './instruction.ts';
import { branchTargetOf, displacementOf } from './operands.ts';

/** Where code hashes a number to look it up in a HashMap with std's hasher. */
export interface MapLookup {
  /** Of the call that hashes, bytes from the function's start. */
  readonly offset: number;
  /** What is called: `hash_one(k0 rdi, k1 rsi, number edx)`. */
  readonly target: number;
  /** The map is so far behind what the register points to there. By its number in x86 encodings. */
  readonly base: number;
  readonly displacement: number;
}

/** std's HashMap: hashbrown's table (control bytes, mask, room, items), then the keys of SipHash. */
const MASK = 8;
const ITEMS = 24;
const KEYS = 32;
const WORD = 8;
/** Of a loop around it and of code between the parts of the look-up, instructions. */
const WINDOW = 64;

interface Seen {
  readonly offset: number;
  readonly base: number;
  readonly displacement: number;
  /** `cmp qword ptr [base + displacement], 0`. */
  readonly isZeroCheck: boolean;
}

interface Candidate extends MapLookup {
  /** Number of the call among the instructions. */
  readonly at: number;
}

/**
 * Look-ups of a u32 in a `HashMap<u32, _>` whose buckets have `bucketSize` bytes, the number first:
 *
 *     cmp  qword ptr [rbx + map + 24], 0
 *     mov  rdi, [rbx + map + 32]
 *     mov  rsi, [rbx + map + 40]
 *     mov  edx, number
 *     call hash_one
 *     mov  rcx, [rbx + map]
 *     mov  rdx, [rbx + map + 8]
 *     cmp  number, dword ptr [rcx + 8 * r8 - bucketSize]
 *
 * All of the map is seen by one register that does not change between.
 */
export function mapLookups(code: Code, bucketSize: number): readonly MapLookup[] {
  using decoder = new FunctionDecoder(code);
  const seen: (Seen & { readonly at: number })[] = [];
  const writes: { readonly at: number; readonly register: number }[] = [];
  const numbers: number[] = [];
  const calls: number[] = [];
  const candidates: Candidate[] = [];
  let loads = new Map<number, Seen>();
  let at = 0;
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next(), at++) {
    const { current } = decoder;
    const word = seenWord(current, one.offset);
    if (word) seen.push({ ...word, at });
    if (comparesNumber(current, bucketSize)) numbers.push(at);
    if (one.flow === 'call') {
      const found = candidateAt(current, loads, one.offset, at);
      if (found) candidates.push(found);
      calls.push(at);
      loads = new Map();
    }
    for (const register of decoder.written()) {
      writes.push({ at, register });
      loads.delete(register);
      for (const [loaded, { base }] of loads) if (base === register) loads.delete(loaded);
    }
    if (word && isLoad(current)) loads.set(current.op0Register, word);
  }
  const whole = candidates.filter((candidate) => {
    const { at: call, base, displacement } = candidate;
    const next = calls.find((other) => other > call) ?? at;
    const compares = numbers.some((each) => each > call && each < Math.min(next, call + WINDOW));
    const near = seen.filter(
      (each) => each.base === base && Math.abs(each.at - call) < WINDOW && each.at < next,
    );
    const members = [displacement, displacement + MASK, displacement + ITEMS].map((place) =>
      near.find(
        (each) => each.displacement === place && (place !== displacement + ITEMS || each.isZeroCheck),
      ),
    );
    const steps = members.map((member) => member?.at);
    const first = Math.min(call, ...steps.map((step) => step ?? call));
    const last = Math.max(call, ...steps.map((step) => step ?? call));
    const changed = writes.some((write) => write.register === base && write.at > first && write.at < last);
    return compares && members.every((member) => member !== undefined) && !changed;
  });
  const first = iced().Register.RAX;
  return whole.map(({ at: _, base, ...lookup }) => ({ ...lookup, base: base - first }));
}

/** The keys of the map have just been loaded. */
function candidateAt(
  current: IcedInstruction,
  loads: ReadonlyMap<number, Seen>,
  offset: number,
  at: number,
): Candidate | undefined {
  const { Register, OpKind } = iced();
  const [first, second] = [loads.get(Register.RDI), loads.get(Register.RSI)];
  if (!current.isCallNear || current.op0Kind !== OpKind.NearBranch64 || !first || !second) return undefined;
  if (first.base !== second.base || second.displacement !== first.displacement + WORD) return undefined;
  const target = branchTargetOf(current);
  const base = first.base;
  return { offset, at, target, base, displacement: first.displacement - KEYS };
}

function seenWord(current: IcedInstruction, offset: number): Seen | undefined {
  const { Register, Code: Opcode, OpKind } = iced();
  const zero = [Opcode.Cmp_rm64_imm8, Opcode.Cmp_rm64_imm32].includes(current.code);
  const load = isLoad(current);
  if (!zero && !load) return undefined;
  const memory = load ? current.op1Kind : current.op0Kind;
  if (memory !== OpKind.Memory || current.memoryIndex !== Register.None || current.isIpRelMemoryOperand)
    return undefined;
  return {
    offset,
    base: current.memoryBase,
    displacement: displacementOf(current),
    isZeroCheck: zero && current.immediate(1) === 0n,
  };
}

const isLoad = (current: IcedInstruction): boolean =>
  current.code === iced().Code.Mov_r64_rm64 && current.op1Kind === iced().OpKind.Memory;

/** `cmp r32, dword ptr [control + 8 * index - size]`: buckets lie below the control bytes. */
function comparesNumber(current: IcedInstruction, bucketSize: number): boolean {
  const { Register, Code: Opcode, OpKind } = iced();
  const compares = [Opcode.Cmp_r32_rm32, Opcode.Cmp_rm32_r32].includes(current.code);
  const memory = current.op0Kind === OpKind.Memory || current.op1Kind === OpKind.Memory;
  const displacement = displacementOf(current);
  return compares && memory && current.memoryIndex !== Register.None && displacement === -bucketSize;
}
