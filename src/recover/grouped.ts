import type { References } from './code-index.ts';

export function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

/** Places by what they refer to, and by what `also` makes of that. */
export function inverted(
  { places, targets }: References,
  also?: (target: number) => number | undefined,
): ReadonlyMap<number, readonly number[]> {
  const map = new Map<number, number[]>();
  for (const [i, target] of targets.entries()) {
    push(map, target, places[i] ?? 0);
    const through = also?.(target);
    if (through !== undefined && through > 0) push(map, through, places[i] ?? 0);
  }
  return map;
}
