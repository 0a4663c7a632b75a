import type { PanicLocation } from '../rust/locations.ts';
import { neverReturns } from '../x86/never-returns.ts';
import type { CodeIndex } from './code-index.ts';
import { push } from './grouped.ts';
import type { LocationUse, Program } from './program.ts';

/** What is looked at, before the program that it makes can be asked for its uses. */
interface Searched {
  readonly index: CodeIndex;
  /** By the start of a function: places that look like calls of it. */
  readonly callers: ReadonlyMap<number, readonly number[]>;
  readonly program: Pick<Program, 'functionAt' | 'startsAt' | 'codeOf'>;
}

type Uses = Map<number, LocationUse[]>;

/** A function that does nothing but panic at one place: a message, arguments, a call. */
const MAX_PANIC = 96;

/** By the start of a function: the panic locations to which its code seems to refer. */
export function panicUses(
  locations: readonly PanicLocation[],
  searched: Searched,
): ReadonlyMap<number, readonly LocationUse[]> {
  const byAddress = new Map(locations.map((location) => [location.svma, location]));
  const uses: Uses = new Map();
  const { places, targets } = searched.index.data;
  for (const [i, target] of targets.entries()) {
    const location = byAddress.get(target);
    const place = places[i] ?? 0;
    const one = location && searched.program.functionAt(place);
    if (one) push(uses, one.svma, { place, location });
  }
  moveToCallers(uses, searched);
  return uses;
}

/**
 * Programs built for size have small functions that panic at one place of the source, with its location inside: the place
 * is in the functions that call them.
 */
function moveToCallers(uses: Uses, { callers, program }: Searched): void {
  const small = [...uses.keys()].flatMap((start) => program.startsAt(start) ?? []);
  const panicking = small.filter((one) => {
    const code = one.size <= MAX_PANIC ? program.codeOf(one) : undefined;
    return code !== undefined && neverReturns(code);
  });
  for (const { svma } of panicking) {
    const calling = (callers.get(svma) ?? []).flatMap((place) => {
      const one = program.functionAt(place);
      return one ? [{ place, start: one.svma }] : [];
    });
    const moved = uses.get(svma) ?? [];
    if (calling.length > 0) uses.delete(svma);
    for (const { place, start } of calling)
      for (const { location } of moved) push(uses, start, { place, location });
  }
}

/** By `<crate> <file>`. */
export function functionsByFile(
  uses: ReadonlyMap<number, readonly LocationUse[]>,
): ReadonlyMap<string, ReadonlySet<number>> {
  const byFile = new Map<string, Set<number>>();
  for (const [start, own] of uses)
    for (const { location } of own) {
      if (!location.source) continue;
      const key = `${location.source.crate} ${location.source.file}`;
      byFile.set(key, (byFile.get(key) ?? new Set()).add(start));
    }
  return byFile;
}
