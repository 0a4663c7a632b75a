import { STT_FUNC, STT_OBJECT, STT_TLS } from '../elf/constants.ts';
import type { ElfFile } from '../elf/elf.ts';
import { findStrings, stringWindows } from '../elf/strings.ts';
import { type SymbolChunk, type SymbolTable, symbolChunks } from '../elf/symbols.ts';
import { demangle } from '../rust/demangle.ts';
import type { SymbolQuery } from './facts.ts';

/** A symbol that answers a query. */
export interface SymbolMatch {
  readonly query: SymbolQuery;
  readonly name: string;
  readonly value: number;
  readonly size: number;
}

export interface SymbolScan {
  /** Defined functions in the table. */
  readonly functions: number;
  readonly matches: readonly SymbolMatch[];
}

/** A name that holds every `contains` string of at least one query, at [start, end) of the string table. */
interface Candidate {
  readonly start: number;
  readonly end: number;
  readonly mangled: string;
  readonly queries: SymbolQuery[];
}

/** Longer names exist only in hostile files. */
const MAX_NAME = 1 << 16;
/** Characters of demangled names a table may produce in all: real programs stay below a megabyte. */
const MAX_DEMANGLED = 1 << 27;

/** Names that pass the `contains` filter, and answers, in one table: thousands in a real one. */
const MAX_FOUND = 1 << 18;

const KINDS: Readonly<Record<number, SymbolQuery['kind']>> = {
  [STT_FUNC]: 'function',
  [STT_OBJECT]: 'object',
  [STT_TLS]: 'tls',
};

type Pause = () => Promise<void>;

/**
 * Answers the queries from one symbol table. The string table is searched first, so that of a hundred thousand
 * symbols only the few with a promising name are looked at by name.
 */
export async function matchSymbols(
  elf: ElfFile,
  table: SymbolTable,
  queries: readonly SymbolQuery[],
  pause: Pause,
): Promise<SymbolScan> {
  const matcher = new Matcher(await findCandidates(elf, table, queries, pause));
  let functions = 0;
  for (const chunk of symbolChunks(elf, table)) {
    functions += matcher.scan(chunk);
    await pause();
  }
  return { functions, matches: matcher.matches };
}

async function findCandidates(
  elf: ElfFile,
  table: SymbolTable,
  queries: readonly SymbolQuery[],
  pause: Pause,
): Promise<readonly Candidate[]> {
  const byStart = new Map<number, Candidate>();
  for (const { start: base, bytes } of stringWindows(elf, table.strings)) {
    for (const query of queries) {
      const needles = query.contains.map((text) => Buffer.from(text, 'latin1'));
      findStrings(bytes, needles, (start, end) => addCandidate(byStart, query, bytes, base, start, end));
      await pause();
    }
  }
  return [...byStart.values()].sort((a, b) => a.start - b.start);
}

function addCandidate(
  byStart: Map<number, Candidate>,
  query: SymbolQuery,
  bytes: Buffer,
  base: number,
  start: number,
  end: number,
): void {
  const known = byStart.get(base + start);
  if (known !== undefined) known.queries.push(query);
  else if (end - start <= MAX_NAME) {
    if (byStart.size >= MAX_FOUND)
      throw new Error(`Cannot search the names: more than ${MAX_FOUND} pass the filters`);
    const mangled = bytes.toString('latin1', start, end);
    byStart.set(base + start, { start: base + start, end: base + end, mangled, queries: [query] });
  }
}

class Matcher {
  readonly matches: SymbolMatch[] = [];
  readonly #candidates: readonly Candidate[];
  readonly #demangled = new Map<number, string>();
  #budget = MAX_DEMANGLED;

  constructor(candidates: readonly Candidate[]) {
    this.#candidates = candidates;
  }

  /** Adds the chunk's answers and returns how many functions it defines. */
  scan(chunk: SymbolChunk): number {
    let functions = 0;
    for (let index = 0; index < chunk.count; index += 1) {
      const type = chunk.type(index);
      if (KINDS[type] === undefined || !chunk.isDefined(index)) continue;
      if (type === STT_FUNC) functions += 1;
      const candidate = this.#candidateAt(chunk.nameOffset(index));
      if (candidate !== undefined) this.#match(chunk, index, candidate);
    }
    return functions;
  }

  #match(chunk: SymbolChunk, index: number, candidate: Candidate): void {
    const kind = KINDS[chunk.type(index)];
    const name = this.#nameAt(chunk.nameOffset(index), candidate);
    for (const query of candidate.queries) {
      if (query.kind !== kind || !matches(query.pattern, name)) continue;
      if (this.matches.length >= MAX_FOUND)
        throw new Error(`Cannot answer: more than ${MAX_FOUND} symbols match`);
      this.matches.push({ query, name, value: chunk.value(index), size: chunk.size(index) });
    }
  }

  /** Binary search: linkers share the tails of strings, so a name may begin inside a longer one. */
  #candidateAt(nameOffset: number): Candidate | undefined {
    let low = 0;
    let high = this.#candidates.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#candidates[middle]?.start ?? 0) <= nameOffset) low = middle + 1;
      else high = middle;
    }
    const candidate = this.#candidates[low - 1];
    return candidate !== undefined && nameOffset < candidate.end ? candidate : undefined;
  }

  #nameAt(nameOffset: number, candidate: Candidate): string {
    const known = this.#demangled.get(nameOffset);
    if (known !== undefined) return known;
    const name = demangle(candidate.mangled.slice(nameOffset - candidate.start));
    this.#budget -= name.length + 64;
    if (this.#budget < 0)
      throw new Error(`Cannot demangle all names: they exceed ${MAX_DEMANGLED} characters`);
    this.#demangled.set(nameOffset, name);
    return name;
  }
}

/** A pattern with the g or y flag would start where its last match ended. */
function matches(pattern: RegExp, name: string): boolean {
  pattern.lastIndex = 0;
  return pattern.test(name);
}
