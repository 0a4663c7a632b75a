import type { Found } from './library.ts';

/** The one answer that all give, else why not: several versions in a program, and nothing tells which one a symbol is of. */
export function agreed<T>(library: string, answers: readonly Found<T>[]): Found<T> {
  const [first, ...others] = answers;
  if (!first) return { missing: `${library} was not found` };
  const missing = answers.find((answer) => 'missing' in answer);
  if (missing) return missing;
  const text = JSON.stringify('missing' in first ? undefined : first.value);
  if (others.every((other) => 'value' in other && JSON.stringify(other.value) === text)) return first;
  return { missing: `several versions of ${library} are linked, and their layouts differ` };
}
