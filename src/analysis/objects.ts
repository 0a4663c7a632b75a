import { svma } from '../base/address.ts';
import { messageOf } from '../base/errors.ts';
import { SHT_SYMTAB } from '../elf/constants.ts';
import { type ElfFile, sectionBytes } from '../elf/elf.ts';
import { stringAt } from '../elf/strings.ts';
import { findSymbolTable } from '../elf/symbols.ts';
import { demangle } from '../rust/demangle.ts';
import { type Answer, answersOf, type SourcedMatches } from './answers.ts';
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
  for (const query of queries) {
    if (query.kind !== 'object' && query.vtableWord === undefined) continue;
    try {
      const answers: ObjectFact[] = [];
      for (const answer of answersOf(query, tables))
        answers.push(...(await objectsOf(elf, files, answer, query.vtableWord, pause)));
      objects[query.id] = answers;
    } catch (error) {
      objects[query.id] = [];
      problems.push(`Code of ${elf.name} not searched. ${messageOf(error)}`);
    }
  }
  return objects;
}

/** The variable itself, or the vtables that point to the method. */
async function objectsOf(
  elf: ElfFile,
  files: readonly SymbolFile[],
  { match: { name, value, size }, source }: Answer,
  vtableWord: number | undefined,
  pause: Pause,
): Promise<readonly ObjectFact[]> {
  const pointers = await pointersTo(elf, value, pause);
  if (vtableWord === undefined) {
    const places = await codeReferences(elf, [value, ...pointers], pause);
    const users = await namedAround(files, places, pause);
    return [{ name, svma: svma(value), size, source, pointers: pointers.map(svma), users }];
  }
  const tables = pointers.map((slot) => slot - vtableWord * 8);
  const found: ObjectFact[] = [];
  for (const table of tables) {
    const places = await codeReferences(elf, [table], pause);
    if (places.length === 0) continue;
    const users = await namedAround(files, places, pause);
    found.push({ name: `vtable with ${name}`, svma: svma(table), size: 0, source, pointers: [], users });
  }
  return found;
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
