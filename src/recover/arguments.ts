import type { ArgumentRegister } from '../x86/instruction.ts';
import type { CodeFunction, Program } from './program.ts';

/** Displacements at which code looks behind a pointer to something. */
export interface Shape {
  /** No others. */
  readonly all: readonly number[];
  /** At least these. */
  readonly needed: readonly number[];
}

/** From a function to where its argument is looked at. */
const MAX_PASSED = 2;

/** Whether the function takes the register for a pointer to such a thing: it looks so itself, or what it hands it to does. */
export function looksAt(
  program: Program,
  one: CodeFunction,
  register: ArgumentRegister,
  shape: Shape,
  depth = MAX_PASSED,
): boolean {
  const seen = program.argumentFlow(one).behind.get(register);
  if (seen) return fits([...seen], shape);
  if (depth === 0) return false;
  const passed = program.argumentsPassed(one).filter(({ argument }) => argument === register);
  return passed.some(({ callee, as }) => looksAt(program, callee, as, shape, depth - 1));
}

const fits = (seen: readonly number[], { all, needed }: Shape): boolean =>
  needed.every((place) => seen.includes(place)) && seen.every((place) => all.includes(place));
