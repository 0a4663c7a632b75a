import {
  ARGUMENT_REGISTERS,
  type ArgumentRegister,
  type Code,
  FunctionDecoder,
  registerNumber,
} from './instruction.ts';
import type { ReadWord } from './jump-table.ts';
import { type FlowStep, type Place, pointerFlow } from './pointer-flow.ts';

/** An argument that a function hands on in the register `as`. */
export interface PassedArgument {
  readonly argument: ArgumentRegister;
  readonly as: ArgumentRegister;
  /** Of the call: a function, or the slot with its address. */
  readonly target: number;
}

/** What a function surely does with its arguments, whatever way it goes. */
export interface ArgumentFlow {
  /** Displacements at which it reads or writes behind the argument. */
  readonly behind: ReadonlyMap<ArgumentRegister, ReadonlySet<number>>;
  readonly passed: readonly PassedArgument[];
  /** Argument registers that it reads before it calls anything or writes them. */
  readonly read: ReadonlySet<ArgumentRegister>;
}

/** Nothing is known of code that is damaged, or whose ways do not settle. */
export function argumentFlow(code: Code, readWord?: ReadWord): ArgumentFlow {
  const behind = new Map<ArgumentRegister, Set<number>>();
  const passed: PassedArgument[] = [];
  const visit = (step: FlowStep) => {
    const { memory, instruction } = step;
    if (memory && isArgument(memory.base))
      behind.set(memory.base, (behind.get(memory.base) ?? new Set()).add(memory.displacement));
    if (instruction.flow === 'call') passed.push(...passedBy(code, step));
  };
  pointerFlow(code, visit, readWord);
  return { behind, passed, read: argumentsRead(code) };
}

/** Arguments that a call of a known target finds in argument registers. */
function passedBy(code: Code, { instruction, placeIn, target }: FlowStep): readonly PassedArgument[] {
  const called = target ?? slotOf(code, instruction);
  if (called === undefined) return [];
  return ARGUMENT_REGISTERS.flatMap((as) => {
    const place = placeIn(ENCODED[as]);
    if (!place || !isArgument(place.base) || place.displacement !== 0) return [];
    return [{ argument: place.base, as, target: called }];
  });
}

const isArgument = (base: Place['base']): base is ArgumentRegister =>
  ARGUMENT_REGISTERS.some((name) => name === base);

/** In x86 encodings. */
const ENCODED = { rdi: 7, rsi: 6, rdx: 2, rcx: 1, r8: 8, r9: 9 } as const;

/** FF /2 with a displacement from the next instruction: `call [rip + …]`. */
function slotOf(code: Code, { offset, bytes }: FlowStep['instruction']): number | undefined {
  if (bytes.length !== 6 || bytes[0] !== 0xff || bytes[1] !== 0x15) return undefined;
  const displacement = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getInt32(2, true);
  return code.svma + offset + bytes.length + displacement;
}

function argumentsRead(code: Code): ReadonlySet<ArgumentRegister> {
  using decoder = new FunctionDecoder(code);
  const read = new Set<ArgumentRegister>();
  const untouched = new Set<ArgumentRegister>(ARGUMENT_REGISTERS);
  for (let one = decoder.next(); one && one.flow !== 'invalid'; one = decoder.next()) {
    const used = decoder.read();
    for (const name of untouched) if (used.has(registerNumber(name))) read.add(name);
    for (const name of decoder.writes()) untouched.delete(name);
    if (one.flow === 'call' || untouched.size === 0) break;
  }
  return read;
}
