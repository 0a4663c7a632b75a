import type { SectionData } from './section-data.ts';

/** `a::b::C<d::E>` → `a`, `b`, `C<d::E>`: modules are entries of their own, arguments are part of a name. */
export function pathOf(name: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < name.length; at++) {
    const character = name[at];
    if (character === '<' || character === '(' || character === '[') depth++;
    else if (character === '>' || character === ')' || character === ']') depth--;
    else if (depth === 0 && name.startsWith('::', at)) {
      parts.push(name.slice(start, at));
      start = at + 2;
    }
  }
  return [...parts, name.slice(start)];
}

/** Where each of the texts stands in `.debug_str` as a whole string. */
export async function placesOf(
  section: SectionData,
  texts: Iterable<string>,
  pause: () => Promise<void>,
): Promise<ReadonlyMap<string, number>> {
  const byLength = new Map<number, Buffer[]>();
  for (const text of texts) {
    const bytes = Buffer.from(text, 'utf8');
    byLength.set(bytes.length, [...(byLength.get(bytes.length) ?? []), bytes]);
  }
  const found = new Map<string, number>();
  for (let start = 0; start < section.size; ) {
    const bytes = section.read(start, Math.min(WINDOW, section.size - start));
    start += scan(bytes, start, byLength, found);
    await pause();
  }
  return found;
}

const WINDOW = 1 << 20;

/** Returns how many bytes hold whole strings. */
function scan(
  bytes: Buffer,
  origin: number,
  byLength: ReadonlyMap<number, readonly Buffer[]>,
  found: Map<string, number>,
): number {
  let at = 0;
  for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, at)) {
    for (const text of byLength.get(end - at) ?? [])
      if (bytes.compare(text, 0, text.length, at, end) === 0) found.set(text.toString('utf8'), origin + at);
    at = end + 1;
  }
  return at === 0 ? bytes.length : at;
}
