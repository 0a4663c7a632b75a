import type { CodeFunction, Program } from './program.ts';

/** For messages about a function without a name: its address, and the source of the first panic location in it. */
export function describe(program: Program, one: CodeFunction): string {
  const location = program.locationsIn(one)[0]?.location;
  const { source, path = '', line } = location ?? {};
  const file = source ? `${source.crate} ${source.file}` : path.split('/').slice(-2).join('/');
  return `function at 0x${one.svma.toString(16)}${location ? ` (${file}:${line})` : ''}`;
}
