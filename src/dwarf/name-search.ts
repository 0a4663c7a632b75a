import { findStrings } from '../elf/strings.ts';
import type { SectionData } from './section-data.ts';

/** Names that pass the groups: thousands in a real program. */
const MAX_NAMES = 1 << 18;
const MAX_NAME = 1 << 16;

/** A name is looked at when it holds all texts of one of the groups. */
export type Groups = readonly (readonly string[])[];

/** Which names are wanted, and what each stands for; undefined when it isn't wanted after all. */
export interface NameSearch<T> {
  readonly groups: Groups;
  readonly accept: (name: string) => T | undefined;
}

export const passes = (groups: Groups, name: string): boolean =>
  groups.some((texts) => texts.every((text) => name.includes(text)));

/** Strings of `.debug_str` that are wanted names, by their place. */
export async function acceptedStrings<T>(
  section: SectionData,
  search: NameSearch<T>,
  pause: () => Promise<void>,
): Promise<ReadonlyMap<number, T>> {
  const seen = new Set<number>();
  const accepted = new Map<number, T>();
  const leads = leadingTexts(search.groups);
  for (const { start: base, bytes } of stringPieces(section)) {
    for (const { text, groups } of leads) {
      findStrings(bytes, [Buffer.from(text, 'latin1')], (start, end) => {
        if (seen.has(base + start) || end - start > MAX_NAME) return;
        const name = bytes.toString('latin1', start, end);
        if (!passes(groups, name)) return;
        if (seen.size >= MAX_NAMES) throw new Error(`Cannot search the names: more than ${MAX_NAMES} pass`);
        seen.add(base + start);
        const wanted = search.accept(name);
        if (wanted !== undefined) accepted.set(base + start, wanted);
      });
      await pause();
    }
  }
  return accepted;
}

/** Shorter texts are in too many names to look at them all. */
const MIN_LEAD = 6;

interface Lead {
  readonly text: string;
  /** All with the text among theirs; longer texts, which are rarer, come first. */
  readonly groups: Groups;
}

/** A few texts of which each group has one: the section is searched once for each of them, not once for each group. */
export function leadingTexts(groups: Groups): readonly Lead[] {
  const leads: Lead[] = [];
  for (let left = groups; left.length > 0; ) {
    const texts = [...new Set(left.flat())].filter(({ length }) => length >= MIN_LEAD);
    const uses = (text: string) => left.filter((group) => group.includes(text)).length;
    const [best] = texts.sort((a, b) => uses(b) - uses(a) || b.length - a.length);
    const text = best ?? byLength(left[0] ?? [])[0] ?? '';
    const isLed = (group: readonly string[]) => (text === '' ? group.length === 0 : group.includes(text));
    leads.push({ text, groups: left.filter(isLed).map(byLength) });
    left = left.filter((group) => !isLed(group));
  }
  return leads;
}

const byLength = (texts: readonly string[]): readonly string[] =>
  texts.toSorted((a, b) => b.length - a.length);

const WINDOW = 1 << 20;

/** Pieces that end behind a NUL; a longer string than a window is cut: no name is. */
function* stringPieces(section: SectionData): Generator<{ readonly start: number; readonly bytes: Buffer }> {
  for (let start = 0; start < section.size; ) {
    const bytes = section.read(start, Math.min(WINDOW, section.size - start));
    const end = bytes.lastIndexOf(0) + 1;
    const used = end === 0 ? bytes.length : end;
    yield { start, bytes: bytes.subarray(0, used) };
    start += used;
  }
}
