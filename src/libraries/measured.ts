import type { BinaryFacts, MemberFact, MemberQuery } from '../analysis/facts.ts';
import axum from './axum/members.json' with { type: 'json' };
import h2 from './h2/members.json' with { type: 'json' };
import http from './http/members.json' with { type: 'json' };
import hyper from './hyper/members.json' with { type: 'json' };
import { cratesNamed } from './library.ts';
import reqwest from './reqwest/members.json' with { type: 'json' };
import tokio from './tokio/members.json' with { type: 'json' };

/** Where in which types the members of a table are; scripts/generate-layouts.mjs asks the same of its programs. */
interface Question {
  readonly types: readonly string[];
  readonly path: readonly string[];
  /** The table has its size, not its place. */
  readonly size?: boolean;
}
type Questions = Readonly<Record<string, Question>>;

/** By library and table. */
const TABLES: Readonly<Record<string, Readonly<Record<string, Questions>>>> = {
  axum,
  h2,
  http,
  hyper,
  reqwest,
  tokio,
};

const idOf = (library: string, table: string, key: string): string => `${library}.${table}.${key}`;

/** All that DWARF is asked for. */
export const MEMBER_QUERIES: readonly MemberQuery[] = Object.entries(TABLES).flatMap(([library, tables]) =>
  Object.entries(tables).flatMap(([table, questions]) =>
    Object.entries(questions).map(([key, { types, path }]) => ({
      id: idOf(library, table, key),
      types,
      path,
    })),
  ),
);

/** What DWARF of the program itself says of the members of a table, by their keys. */
export function measuredFacts(
  facts: BinaryFacts,
  library: string,
  table = 'layouts',
): Readonly<Record<string, MemberFact>> {
  // Types of two versions have the same name: which one an answer is of is not known.
  if ([library, 'bytes'].some((name) => cratesNamed(facts, name).length > 1)) return {};
  const keys = Object.keys(TABLES[library]?.[table] ?? {});
  const found = keys.map((key) => [key, facts.members[idOf(library, table, key)]] as const);
  return Object.fromEntries(found.flatMap(([key, fact]) => (fact ? [[key, fact]] : [])));
}

/** The same as the numbers that the table has: places, or sizes. */
export function measured(
  facts: BinaryFacts,
  library: string,
  table = 'layouts',
): Readonly<Record<string, number>> {
  const questions = TABLES[library]?.[table] ?? {};
  const entries = Object.entries(measuredFacts(facts, library, table));
  return Object.fromEntries(
    entries.map(([key, { offset, size }]) => [key, questions[key]?.size ? size : offset]),
  );
}
