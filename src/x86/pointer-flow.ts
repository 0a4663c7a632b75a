import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import {
  ARGUMENT_REGISTERS,
  type ArgumentRegister,
  type Code,
  FunctionDecoder,
  type Instruction,
} from './instruction.ts';
import { JumpTables, type ReadWord } from './jump-table.ts';
import { isKept } from './kept-registers.ts';
import { branchTargetOf, displacementOf } from './operands.ts';
import { isEmulated } from './uprobe.ts';

/** What the instruction at an offset has loaded when it ran last. */
type Loaded = `load ${number}`;

/**
 * Where something lies: so many bytes behind what an argument pointed to at entry, behind the stack's top then, or behind what
 * was loaded from elsewhere.
 */
export interface Place {
  readonly base: ArgumentRegister | 'frame' | Loaded;
  readonly displacement: number;
}

/** What is known before an instruction runs. */
export interface FlowStep {
  readonly instruction: Instruction;
  /** What a register holds, by its number in x86 encodings: 0 rax, 1 rcx, 2 rdx, 3 rbx, 4 rsp, 5 rbp, 6 rsi, 7 rdi, 8 … 15. */
  readonly placeIn: (register: number) => Place | undefined;
  /** What the slot of the frame at the displacement holds. */
  readonly placeAt: (displacement: number) => Place | undefined;
  /** The memory it refers to, when it is known where. */
  readonly memory: Place | undefined;
  /** Of a direct call or jump: its target's svma. */
  readonly target: number | undefined;
  /** Whether another way than the instruction before leads here. */
  readonly joined: boolean;
  readonly probeable: boolean;
  readonly emulated: boolean;
}

type State = Map<number, Place>;

/** What is known at a point: registers, and slots of the frame by their displacement. */
interface Known {
  readonly registers: State;
  readonly slots: Map<number, Place>;
}

/** What was known in the pass before where jumps lead: backwards by their target, and to what the code does not tell. */
interface Edges {
  readonly backward: Map<number, Known>;
  indirect: Known | undefined;
}

const MAX_PASSES = 16;

/**
 * Walks a function and follows its arguments, and addresses in its frame, through registers and stack slots. Where ways
 * join only what all agree on is known: passes are made until nothing changes. Jumps by tables lead where the tables say
 * (`readWord`: of the program's data); those by other ones are taken to lead to every
 * place behind them that is not only reached from above, and to all code that nothing else leads to. Code to which no way is known, as that which unwinding runs, says nothing
 * about where it leads. `visit` sees each instruction once, in the order of the code; it is not called when the passes do
 * not settle.
 */
export function pointerFlow(
  code: Code,
  visit: (step: FlowStep) => void,
  readWord: ReadWord = () => undefined,
): void {
  const tables = new JumpTables(readWord, code.svma, code.bytes.length);
  let edges = noEdges();
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    const next = noEdges();
    walk(code, tables, edges, next);
    if (sameEdges(edges, next)) {
      walk(code, tables, edges, noEdges(), visit);
      return;
    }
    edges = next;
  }
}

const noEdges = (): Edges => ({ backward: new Map(), indirect: undefined });

function walk(
  code: Code,
  tables: JumpTables,
  edges: Edges,
  next: Edges,
  visit?: (step: FlowStep) => void,
): void {
  using decoder = new FunctionDecoder(code);
  const { Register } = iced();
  tables.forget();
  let known: Known | undefined = { registers: entryState(), slots: new Map() };
  const forward = new Map<number, Known>();
  let reached = true;
  let stack = known.registers.get(Register.RSP);
  let body = stack;
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next()) {
    const ways: readonly (Known | undefined)[] = [
      reached ? known : undefined,
      forward.get(one.offset),
      edges.backward.get(one.offset),
    ];
    const joined = !reached || ways[1] !== undefined || ways[2] !== undefined;
    if (joined) known = joinedWays([...ways, reached ? next.indirect : edges.indirect], stack);
    if (joined) tables.forget();
    stack = known?.registers.get(Register.RSP) ?? stack;
    forward.delete(one.offset);
    const { current } = decoder;
    const registers: State = known?.registers ?? new Map();
    const memory = placeOf(current, registers);
    const jump = decoder.jump();
    const target = targetOf(current, jump?.target, code);
    visit?.({
      instruction: one,
      placeIn: (number) => registers.get(iced().Register.RAX + number),
      placeAt: (displacement) => known?.slots.get(displacement),
      memory,
      target,
      joined,
      probeable: decoder.probeable(one.bytes),
      emulated: isEmulated(one.bytes),
    });
    if (known) step(decoder, one, known.registers, known.slots, memory);
    const leaves = jump?.target === undefined && isTailCall(current, stack, body);
    for (const to of jump && !leaves ? (tables.targetsOf(current) ?? [jump.target]) : [])
      if (known) leave(to, one.offset, known, forward, next);
    tables.note(decoder);
    reached = one.flow !== 'transfer' || isConditional(current);
    // What stands behind an epilogue belongs to the body again.
    if (stack?.displacement !== 0) body = one.flow === 'straight' ? body : stack;
    else if (!reached) stack = body;
  }
}

/** A jump through a slot of the global offset table, or behind the epilogue: to another function. */
const isTailCall = (current: IcedInstruction, stack: Place | undefined, body: Place | undefined): boolean =>
  current.isIpRelMemoryOperand || (stack?.displacement === 0 && body?.displacement !== 0);

/** The stack pointer is the same in the whole body of a function, whatever leads there. */
function joinedWays(ways: readonly (Known | undefined)[], stack: Place | undefined): Known | undefined {
  const [first, ...others] = ways.filter((way) => way !== undefined);
  if (!first) return undefined;
  const known = others.reduce(agreedWays, copyOf(first));
  if (stack && !known.registers.has(iced().Register.RSP)) known.registers.set(iced().Register.RSP, stack);
  return known;
}

const copyOf = ({ registers, slots }: Known): Known => ({
  registers: new Map(registers),
  slots: new Map(slots),
});

const agreedWays = (a: Known, b: Known): Known => ({
  registers: agreed(a.registers, b.registers),
  slots: agreed(a.slots, b.slots),
});

function leave(
  target: number | undefined,
  from: number,
  known: Known,
  forward: Map<number, Known>,
  next: Edges,
): void {
  const meet = (there: Known | undefined) => (there ? agreedWays(there, known) : copyOf(known));
  if (target === undefined) next.indirect = meet(next.indirect);
  else if (target > from) forward.set(target, meet(forward.get(target)));
  else next.backward.set(target, meet(next.backward.get(target)));
}

function sameEdges(a: Edges, b: Edges): boolean {
  const all = (edges: Edges) => [...edges.backward, ['indirect', edges.indirect] as const];
  const text = (edges: Edges) =>
    JSON.stringify(
      all(edges).map(([at, known]) => [at, known && [...known.registers], known && [...known.slots]]),
    );
  return text(a) === text(b);
}

function entryState(): State {
  const { Register } = iced();
  const state: State = new Map(
    ARGUMENT_REGISTERS.map((base) => [Register[base.toUpperCase() as 'RDI'], { base, displacement: 0 }]),
  );
  return state.set(Register.RSP, { base: 'frame', displacement: 0 });
}

const isConditional = (current: IcedInstruction): boolean =>
  current.flowControl === iced().FlowControl.ConditionalBranch;

function targetOf(current: IcedInstruction, jump: number | undefined, code: Code): number | undefined {
  const { OpKind } = iced();
  if (jump !== undefined) return code.svma + jump;
  if (!current.isCallNear || current.op0Kind !== OpKind.NearBranch64) return undefined;
  return branchTargetOf(current);
}

function agreed<K>(a: ReadonlyMap<K, Place>, b: ReadonlyMap<K, Place>): Map<K, Place> {
  return new Map([...a].filter(([key, place]) => samePlace(place, b.get(key))));
}

const samePlace = (a: Place | undefined, b: Place | undefined): boolean =>
  a !== undefined && b !== undefined && a.base === b.base && a.displacement === b.displacement;

/** Of an instruction's memory operand: base register and displacement, no index. */
function placeOf(current: IcedInstruction, state: State): Place | undefined {
  const { OpKind, Register } = iced();
  const memory =
    current.op0Kind === OpKind.Memory || (current.opCount > 1 && current.op1Kind === OpKind.Memory);
  const base = memory && current.memoryIndex === Register.None ? state.get(current.memoryBase) : undefined;
  if (!base || current.segmentPrefix === Register.FS) return undefined;
  return moved(base, displacementOf(current));
}

const moved = ({ base, displacement }: Place, by: number): Place => ({
  base,
  displacement: displacement + by,
});

/** Changes what is known as the instruction does. */
function step(
  decoder: FunctionDecoder,
  one: Instruction,
  state: State,
  slots: Map<number, Place>,
  memory: Place | undefined,
): void {
  const { Register, OpKind } = iced();
  const { current } = decoder;
  const stack = stackAfter(current, state.get(Register.RSP));
  const result = resultOf(current, state, slots, memory);
  const stored =
    memory?.base === 'frame' && current.op0Kind === OpKind.Memory ? storedValue(current, state) : undefined;
  const loaded = loadedPlace(decoder, one, result);
  if (loaded) for (const known of [state, slots]) forgetBase(known, loaded.base);
  if (memory?.base === 'frame' && current.op0Kind === OpKind.Memory) slots.delete(memory.displacement);
  if (memory && stored) slots.set(memory.displacement, stored);
  for (const register of decoder.written()) if (register !== Register.RSP) state.delete(register);
  if (one.flow === 'call') forgetScratch(state);
  if (stack) state.set(Register.RSP, stack);
  else state.delete(Register.RSP);
  if (result) state.set(result[0], result[1]);
  else if (loaded) state.set(current.op0Register, loaded);
}

/** A word from memory of which nothing is known: what it leads to is the same until it is loaded again. */
function loadedPlace(decoder: FunctionDecoder, one: Instruction, result: unknown): Place | undefined {
  const { Code: Opcode, OpKind, Register } = iced();
  const { code, op1Kind, op0Register } = decoder.current;
  const loads = code === Opcode.Mov_r64_rm64 && op1Kind === OpKind.Memory && op0Register !== Register.RSP;
  return loads && result === undefined ? { base: `load ${one.offset}`, displacement: 0 } : undefined;
}

function forgetBase<K>(known: Map<K, Place>, base: Place['base']): void {
  for (const [key, place] of known) if (place.base === base) known.delete(key);
}

/** push, pop, sub and add of the stack pointer; a call has returned. */
function stackAfter(current: IcedInstruction, stack: Place | undefined): Place | undefined {
  const { Register, Mnemonic, OpKind, FlowControl } = iced();
  if (!stack) return undefined;
  const flow = current.flowControl;
  if (flow === FlowControl.Call || flow === FlowControl.IndirectCall) return stack;
  if (current.mnemonic === Mnemonic.Push || current.mnemonic === Mnemonic.Pop)
    return moved(stack, current.stackPointerIncrement);
  if (current.op0Kind !== OpKind.Register || current.op0Register !== Register.RSP) return stack;
  const constant =
    current.opCount > 1 && current.op1Kind >= OpKind.Immediate8 && current.op1Kind <= OpKind.Immediate32to64;
  const compares = current.mnemonic === Mnemonic.Cmp || current.mnemonic === Mnemonic.Test;
  if (compares) return stack;
  if (!constant) return undefined;
  const by = Number(BigInt.asIntN(64, current.immediate(1)));
  if (current.mnemonic === Mnemonic.Sub) return moved(stack, -by);
  return current.mnemonic === Mnemonic.Add ? moved(stack, by) : undefined;
}

function resultOf(
  current: IcedInstruction,
  state: State,
  slots: ReadonlyMap<number, Place>,
  memory: Place | undefined,
): readonly [number, Place] | undefined {
  const { Code: Opcode, OpKind } = iced();
  const { code, op0Register } = current;
  if (code === Opcode.Lea_r64_m) return memory && [op0Register, memory];
  if (code !== Opcode.Mov_r64_rm64 && code !== Opcode.Mov_rm64_r64) return sumOf(current, state);
  if (current.op0Kind !== OpKind.Register) return undefined;
  if (current.op1Kind === OpKind.Register) {
    const copied = state.get(current.op1Register);
    return copied && [op0Register, copied];
  }
  const kept = memory?.base === 'frame' ? slots.get(memory.displacement) : undefined;
  return kept && [op0Register, kept];
}

/** `add r, imm`. */
function sumOf(current: IcedInstruction, state: State): readonly [number, Place] | undefined {
  const { Code: Opcode, OpKind } = iced();
  const { code, op0Register } = current;
  const before = state.get(op0Register);
  if (!before || (code !== Opcode.Add_rm64_imm8 && code !== Opcode.Add_rm64_imm32)) return undefined;
  if (current.op0Kind !== OpKind.Register) return undefined;
  return [op0Register, moved(before, Number(BigInt.asIntN(64, current.immediate(1))))];
}

function storedValue(current: IcedInstruction, state: State): Place | undefined {
  const { Code: Opcode, OpKind } = iced();
  const moves = current.code === Opcode.Mov_rm64_r64 || current.code === Opcode.Mov_r64_rm64;
  return moves && current.op1Kind === OpKind.Register ? state.get(current.op1Register) : undefined;
}

function forgetScratch(state: State): void {
  const { Register } = iced();
  for (const register of state.keys())
    if (register !== Register.RSP && !isKept(register)) state.delete(register);
}
