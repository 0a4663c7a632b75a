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

/** A pointer to a member of what an argument points to, handed on by a call or by a jump that ends the function. */
export interface PassedMember extends PassedArgument {
  readonly displacement: number;
}

/** What a function surely does with its arguments, whatever way it goes. */
export interface ArgumentFlow {
  /** Displacements at which it reads or writes behind the argument. */
  readonly behind: ReadonlyMap<ArgumentRegister, ReadonlySet<number>>;
  readonly passed: readonly PassedArgument[];
  readonly members: readonly PassedMember[];
  /** Argument registers that it reads before it calls anything or writes them. */
  readonly read: ReadonlySet<ArgumentRegister>;
}

/** Nothing is known of code that is damaged, or whose ways do not settle. */
export function argumentFlow(code: Code, readWord?: ReadWord): ArgumentFlow {
  const behind = new Map<ArgumentRegister, Set<number>>();
  const passed: PassedArgument[] = [];
  const members: PassedMember[] = [];
  const visit = (step: FlowStep) => {
    const { memory, instruction } = step;
    if (memory && isArgument(memory.base))
      behind.set(memory.base, (behind.get(memory.base) ?? new Set()).add(memory.displacement));
    for (const { displacement, ...one } of instruction.flow === 'straight' ? [] : handedBy(code, step))
      if (displacement !== 0) members.push({ ...one, displacement });
      else if (instruction.flow === 'call') passed.push(one);
  };
  pointerFlow(code, visit, readWord);
  return { behind, passed, members, read: argumentsRead(code) };
}

/** What a call of a known target, or a jump to one outside, finds in argument registers of arguments and their members. */
function handedBy(code: Code, { instruction, placeIn, target }: FlowStep): readonly PassedMember[] {
  const called = target ?? slotOf(code, instruction);
  const isInside = called !== undefined && called >= code.svma && called < code.svma + code.bytes.length;
  if (called === undefined || (isInside && instruction.flow !== 'call')) return [];
  return ARGUMENT_REGISTERS.flatMap((as) => {
    const place = placeIn(ENCODED[as]);
    if (!place || !isArgument(place.base)) return [];
    return [{ argument: place.base, displacement: place.displacement, as, target: called }];
  });
}

const isArgument = (base: Place['base']): base is ArgumentRegister =>
  ARGUMENT_REGISTERS.some((name) => name === base);

/** In x86 encodings. */
const ENCODED = { rdi: 7, rsi: 6, rdx: 2, rcx: 1, r8: 8, r9: 9 } as const;

/** FF /2, FF /4 with a displacement from the next instruction: `call [rip + …]`, `jmp [rip + …]`. */
function slotOf(code: Code, { offset, bytes }: FlowStep['instruction']): number | undefined {
  if (bytes.length !== 6 || bytes[0] !== 0xff || (bytes[1] !== 0x15 && bytes[1] !== 0x25)) return undefined;
  const displacement = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getInt32(2, true);
  return code.svma + offset + bytes.length + displacement;
}

/** Argument registers that a function reads before it calls anything or writes them; without following any. */
export function argumentsRead(code: Code): ReadonlySet<ArgumentRegister> {
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
