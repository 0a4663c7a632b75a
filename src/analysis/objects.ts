import { svma } from '../base/address.ts';
import { messageOf } from '../base/errors.ts';
import { SHT_SYMTAB } from '../elf/constants.ts';
import { type ElfFile, sectionBytes } from '../elf/elf.ts';
import { stringAt } from '../elf/strings.ts';
import { findSymbolTable } from '../elf/symbols.ts';
import { demangle } from '../rust/demangle.ts';
import { answersOf, type SourcedMatches } from './answers.ts';
import type { FunctionFact, ObjectFact, SymbolQuery, SymbolSource } from './facts.ts';
import { codeReferences, functionsAround, pointersTo } from './references.ts';

/** A file with symbols for the code of the program. */
export interface SymbolFile {
  readonly elf: ElfFile;
  readonly source: SymbolSource;
}

type Pause = () => Promise<void>;

/** Answers to the queries for variables. Code is searched for the few variables that were found, once. */
export async function collectObjects(
  elf: ElfFile,
  files: readonly SymbolFile[],
  queries: readonly SymbolQuery[],
  tables: readonly SourcedMatches[],
  problems: string[],
  pause: Pause,
): Promise<Record<string, readonly ObjectFact[]>> {
  const objects: Record<string, readonly ObjectFact[]> = {};
  for (const query of queries.filter(({ kind }) => kind === 'object')) {
    const answers: ObjectFact[] = [];
    for (const { match, source } of answersOf(query, tables)) {
      const { name, value, size } = match;
      const { pointers, users } = await usersOf(elf, files, value, problems, pause);
      answers.push({ name, svma: svma(value), size, source, pointers, users });
    }
    objects[query.id] = answers;
  }
  return objects;
}

async function usersOf(
  elf: ElfFile,
  files: readonly SymbolFile[],
  value: number,
  problems: string[],
  pause: Pause,
): Promise<Pick<ObjectFact, 'pointers' | 'users'>> {
  try {
    const pointers = (await pointersTo(elf, value, pause)).map(svma);
    const places = await codeReferences(elf, [value, ...pointers], pause);
    return { pointers, users: await namedAround(files, places, pause) };
  } catch (error) {
    problems.push(`Code of ${elf.name} not searched. ${messageOf(error)}`);
    return { pointers: [], users: [] };
  }
}

/** From the first file with symbols around the places. */
async function namedAround(
  files: readonly SymbolFile[],
  places: readonly number[],
  pause: Pause,
): Promise<readonly FunctionFact[]> {
  for (const { elf, source } of places.length === 0 ? [] : files) {
    const table = findSymbolTable(elf, SHT_SYMTAB);
    const found = table === undefined ? [] : await functionsAround(elf, table, places, pause);
    if (table === undefined || found.length === 0) continue;
    const strings = sectionBytes(elf, table.strings);
    return found.map(({ nameOffset, svma: start, size }) => {
      const name = demangle(stringAt(strings, nameOffset) ?? '');
      return { name, svma: svma(start), size, source };
    });
  }
  return [];
}
