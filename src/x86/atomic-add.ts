import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import { type Code, FunctionDecoder, type Instruction } from './instruction.ts';
import { isKept } from './kept-registers.ts';
import type { NoSite, Site } from './site.ts';
import { isEmulated } from './uprobe.ts';

/** A variable in memory: where it is, and where its address can be loaded from. */
export interface Variable {
  readonly svma: number;
  readonly pointers: readonly number[];
}

/** An instruction that runs once after each addition, and finds the value from before it in `register`. */
export interface AddSite extends Site {
  /** Number in x86 encodings: 0 rax, 1 rcx, 2 rdx, 3 rbx, 4 rsp, 5 rbp, 6 rsi, 7 rdi, 8 … 15. */
  readonly register: number;
}

/** Instructions looked at behind an addition for one that the kernel emulates. */
const MAX_STEPS = 32;

interface Candidate {
  readonly offset: number;
  readonly emulated: boolean;
  readonly register: number;
}

/** An addition that was found, and what follows it. */
interface Addition {
  /** Of the instruction behind it. */
  readonly end: number;
  /** Registers with the old value, as iced numbers them. */
  readonly values: Set<number>;
  readonly candidates: Candidate[];
  steps: number;
}

/**
 * Sites behind each `fetch_add` of a 64-bit variable in a function, whose result is used:
 *
 *     mov  rax, [rip + pointer]      or lea rax, [rip + variable], or neither
 *     mov  ecx, 1
 *     lock xadd [rax], rcx           or [rip + variable]
 *     test rcx, rcx                  a counter that must not be 0 is drawn again
 *     je   back                      ← the first emulated instruction with the value still in a register
 *
 * Where none follows, the instruction right behind. The register with the variable's address is followed
 * along the code, not along its jumps: an addition above the load of its address is not found. Behind bytes that are no
 * instruction nothing is looked for. `code` is a whole function.
 */
export function addSites(code: Code, variable: Variable): readonly (AddSite | NoSite)[] {
  using decoder = new FunctionDecoder(code);
  const additions: Addition[] = [];
  const holders = new Set<number>();
  const targets = new Set<number>();
  let unknownJumps = false;
  let broken: NoSite | undefined;
  for (let one = decoder.next(); one; one = decoder.next()) {
    if (one.flow === 'invalid') {
      broken = { reason: `its byte ${one.offset} is not the start of an instruction` };
      break;
    }
    for (const addition of additions) if (addition.values.size > 0) follow(addition, decoder, one);
    if (isAdd(decoder.current, variable, holders)) additions.push(additionAt(decoder.current, one));
    if (holders.size > 0) forget(holders, decoder, one);
    const loaded = loadedRegister(decoder.current, variable);
    if (loaded !== undefined) holders.add(loaded);
    const jump = decoder.jump();
    if (jump?.target !== undefined) targets.add(jump.target);
    else if (jump) unknownJumps = true;
  }
  const sites = additions.map((addition) => siteBehind(code, addition, targets, unknownJumps || !!broken));
  return broken ? [...sites, broken] : sites;
}

const additionAt = (add: IcedInstruction, one: Instruction): Addition => ({
  end: one.offset + one.bytes.length,
  values: new Set([add.op1Register]),
  candidates: [],
  steps: 0,
});

function isAdd(current: IcedInstruction, variable: Variable, holders: ReadonlySet<number>): boolean {
  const { Code: Opcode, Register } = iced();
  if (current.code !== Opcode.Xadd_rm64_r64 || !current.hasLockPrefix) return false;
  if (current.isIpRelMemoryOperand) return address(current) === variable.svma;
  const plain = current.memoryIndex === Register.None && current.memoryDisplacement === 0n;
  return plain && holders.has(current.memoryBase);
}

/** The register into which the variable's address is loaded, if that is what the instruction does. */
function loadedRegister(current: IcedInstruction, { svma, pointers }: Variable): number | undefined {
  const { Code: Opcode } = iced();
  const { code } = current;
  if (code !== Opcode.Mov_r64_rm64 && code !== Opcode.Lea_r64_m) return undefined;
  if (!current.isIpRelMemoryOperand) return undefined;
  const from = address(current);
  const loads = code === Opcode.Lea_r64_m ? from === svma : pointers.includes(from);
  return loads ? current.op0Register : undefined;
}

const address = (current: IcedInstruction): number => Number(BigInt.asIntN(64, current.ipRelMemoryAddress));

/** Offers the instruction as a site, then drops and adds registers as it does. */
function follow(addition: Addition, decoder: FunctionDecoder, one: Instruction): void {
  const { Code: Opcode } = iced();
  const { values, candidates } = addition;
  const register = values.values().next().value;
  if (register === undefined) return;
  if (decoder.probeable(one.bytes))
    candidates.push({ offset: one.offset, emulated: isEmulated(one.bytes), register });
  const { code, op0Register, op1Register } = decoder.current;
  const copies = (code === Opcode.Mov_r64_rm64 || code === Opcode.Mov_rm64_r64) && values.has(op1Register);
  forget(values, decoder, one);
  if (copies && isRegister(op0Register)) values.add(op0Register);
  addition.steps++;
  if (one.flow !== 'straight' || addition.steps >= MAX_STEPS) values.clear();
}

const isRegister = (register: number): boolean => register !== iced().Register.None;

/** After a call only the registers that a function must keep are as before. */
function forget(registers: Set<number>, decoder: FunctionDecoder, one: Instruction): void {
  const written = decoder.written();
  for (const register of registers)
    if (written.has(register) || (one.flow === 'call' && !isKept(register))) registers.delete(register);
}

/**
 * Jumps that the code doesn't tell may join between the addition and a later instruction; not inside `test; jcc`,
 * which is one with the addition.
 */
function siteBehind(
  code: Code,
  { end, candidates }: Addition,
  targets: ReadonlySet<number>,
  unknownJumps: boolean,
): AddSite | NoSite {
  const joined = candidates.findIndex(({ offset }) => targets.has(offset));
  const straight = joined < 0 ? candidates : candidates.slice(0, joined);
  const emulated = straight.findIndex((candidate) => candidate.emulated);
  const isCheck = emulated === 1 && isJcc(code.bytes, straight[1]?.offset ?? 0);
  const sure = emulated >= 0 && (!unknownJumps || isCheck) ? straight[emulated] : undefined;
  const best = sure ?? candidates.find(({ offset }) => offset === end);
  return best ? describe(code, best) : { reason: 'no instruction behind the counter can be probed' };
}

function isJcc(bytes: Uint8Array, offset: number): boolean {
  const [first = 0, second = 0] = bytes.subarray(offset);
  return (first & 0xf0) === 0x70 || (first === 0x0f && (second & 0xf0) === 0x80);
}

function describe(code: Code, { offset, emulated, register }: Candidate): AddSite {
  using decoder = new FunctionDecoder(code);
  while ((decoder.next()?.offset ?? offset) < offset);
  const cost = emulated ? 'emulated' : 'single-stepped';
  return { offset, instruction: decoder.text(), cost, register: iced().RegisterExt.number(register) };
}
