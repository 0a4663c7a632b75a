import { type Svma, svma } from '../base/address.ts';
import type { FunctionFact, LoadSegment, SymbolQuery, SymbolSource, TlsVariableFact } from './facts.ts';
import type { SymbolMatch } from './symbol-match.ts';

export interface SourcedMatches {
  readonly source: SymbolSource;
  readonly matches: readonly SymbolMatch[];
}

export interface Answers {
  readonly functions: Readonly<Record<string, readonly FunctionFact[]>>;
  readonly tlsVariables: Readonly<Record<string, readonly TlsVariableFact[]>>;
}

/**
 * One list a query, sorted by address. A name found in several tables counts once, from the first. Symbols that
 * point outside executable code, or outside the TLS template, are dropped: a probe there would be wrong.
 */
export function collectAnswers(
  queries: readonly SymbolQuery[],
  tables: readonly SourcedMatches[],
  segments: readonly LoadSegment[],
  tlsSize: number,
): Answers {
  const functions: Record<string, FunctionFact[]> = {};
  const tlsVariables: Record<string, TlsVariableFact[]> = {};
  for (const query of queries) {
    if (query.kind === 'function') functions[query.id] = functionsOf(query, tables, segments);
    else if (query.kind === 'tls') tlsVariables[query.id] = variablesOf(query, tables, tlsSize);
  }
  return { functions, tlsVariables };
}

function functionsOf(
  query: SymbolQuery,
  tables: readonly SourcedMatches[],
  segments: readonly LoadSegment[],
): FunctionFact[] {
  return answersOf(query, tables)
    .filter(({ match }) => isCode(segments, svma(match.value)))
    .map(({ match, source }) => ({ name: match.name, svma: svma(match.value), size: match.size, source }));
}

function variablesOf(
  query: SymbolQuery,
  tables: readonly SourcedMatches[],
  tlsSize: number,
): TlsVariableFact[] {
  return answersOf(query, tables)
    .filter(({ match }) => match.value + match.size <= tlsSize)
    .map(({ match, source }) => ({ name: match.name, offset: match.value, size: match.size, source }));
}

/** A symbol that answers a query, and the table it is from. */
export interface Answer {
  readonly source: SymbolSource;
  readonly match: SymbolMatch;
}

/** Sorted by address, then name; a name found in several tables counts once, from the first. */
export function answersOf(query: SymbolQuery, tables: readonly SourcedMatches[]): readonly Answer[] {
  const unique = new Map<string, Answer>();
  for (const { source, matches } of tables) {
    for (const match of matches) {
      const key = `${match.value} ${match.name}`;
      if (match.query === query && !unique.has(key)) unique.set(key, { source, match });
    }
  }
  return [...unique.values()].sort(
    (a, b) => a.match.value - b.match.value || (a.match.name < b.match.name ? -1 : 1),
  );
}

function isCode(segments: readonly LoadSegment[], address: Svma): boolean {
  return segments.some(
    (segment) => segment.executable && address >= segment.svma && address - segment.svma < segment.fileSize,
  );
}
