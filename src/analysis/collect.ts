import { messageOf } from '../base/errors.ts';
import { SHT_DYNSYM, SHT_SYMTAB } from '../elf/constants.ts';
import { type ElfFile, findSection } from '../elf/elf.ts';
import { findSymbolTable } from '../elf/symbols.ts';
import { sortCrates } from '../rust/crates.ts';
import { identifyRustc } from '../rust/rustc.ts';
import { collectAnswers, type SourcedMatches } from './answers.ts';
import { scanContent } from './content.ts';
import { type DebugCandidate, openDebugFile } from './debug-file.ts';
import type { BinaryFacts, MemberQuery, SymbolQuery, SymbolSource } from './facts.ts';
import type { FileFacts } from './file-facts.ts';
import { collectMembers } from './members.ts';
import { collectObjects } from './objects.ts';
import { createPause } from './pause.ts';
import { NOT_RECOVERED, recover } from './recovered.ts';
import { matchSymbols, type SymbolScan } from './symbol-match.ts';

type TableType = typeof SHT_SYMTAB | typeof SHT_DYNSYM;
type SourcedScan = SymbolScan & SourcedMatches;

/** Names that rustc puts into every program with the standard library, whatever it inlines. */
const RUST_NAMES: SymbolQuery = {
  id: 'rust',
  kind: 'function',
  contains: ['rust_'],
  pattern: /^(?:__rustc::)?(?:rust_begin_unwind|rust_panic|rust_eh_personality|__rust_alloc)$/,
};

/** What is asked of symbols and of DWARF. */
export interface Questions {
  readonly queries: readonly SymbolQuery[];
  readonly members: readonly MemberQuery[];
}

/** All facts of a file, those of its headers given. */
export async function collectFacts(
  elf: ElfFile,
  own: FileFacts,
  candidates: readonly DebugCandidate[],
  { queries, members }: Questions,
  problems: string[],
): Promise<BinaryFacts> {
  const pause = createPause();
  using debug = await openDebugFile(elf, candidates, problems, pause);
  const asked = [...queries, RUST_NAMES];
  const scan = (file: ElfFile | undefined, type: TableType, source: SymbolSource) =>
    scanTable(file, type, source, asked, problems, pause);
  const symtab = await scan(elf, SHT_SYMTAB, 'symtab');
  const dynsym = await scan(elf, SHT_DYNSYM, 'dynsym');
  const debugFile = await scan(debug?.elf, SHT_SYMTAB, 'debug-file');
  const tables = [symtab, dynsym, debugFile];
  const content = await scanContent(elf, debug?.elf, problems, pause);
  if (debug === undefined && findSection(elf, '.gnu_debugdata') !== undefined) {
    problems.push(`${elf.name} has symbols in .gnu_debugdata (xz), which are not read`);
  }
  const files = [
    { elf, source: 'symtab' as const },
    ...(debug ? [{ elf: debug.elf, source: 'debug-file' as const }] : []),
  ];
  const objects = await collectObjects(elf, files, queries, tables, problems, pause);
  const rustc = identifyRustc(content.comment, content.rustcPaths);
  const isRust =
    rustc !== undefined || tables.some(({ matches }) => matches.some(({ query }) => query === RUST_NAMES));
  const nameless = symtab.functions === 0 && debugFile.functions === 0;
  const answers = collectAnswers(queries, tables, own.segments, own.tls?.memSize ?? 0);
  const sought = nameless ? queries : queries.filter((query) => isInlined(query, answers.functions));
  const recovered = isRust && sought.length > 0 ? await recover(elf, sought, problems, pause) : NOT_RECOVERED;
  return {
    ...own,
    symbols: {
      symtab: symtab.functions,
      dynsym: dynsym.functions,
      debugFile: debugFile.functions,
      debugFilePath: debug?.path,
    },
    dwarf: [elf, debug?.elf].some(
      (file) => file !== undefined && findSection(file, '.debug_info') !== undefined,
    ),
    isRust,
    rustc,
    crates: sortCrates([...content.crates.values(), ...content.audited.crates]),
    ...(content.audited.packageVersion !== undefined && { packageVersion: content.audited.packageVersion }),
    functions: withRecovered(answers.functions, recovered.functions),
    tlsVariables: answers.tlsVariables,
    objects: withRecovered(objects, recovered.objects),
    recovered: {
      problem: recovered.problem,
      threadWords: recovered.threadWords,
      sites: recovered.sites,
      missing: recovered.missing,
    },
    members: await collectMembers(
      files.map((file) => file.elf),
      members,
      problems,
      pause,
    ),
  };
}

/** Other symbols tell that the function is in the program, but it has none of its own. */
function isInlined({ id, inlinedBeside = [] }: SymbolQuery, functions: BinaryFacts['functions']): boolean {
  const has = (query: string) => (functions[query] ?? []).length > 0;
  return inlinedBeside.some(has) && !has(id);
}

/** A symbol tells more surely than anything else. */
function withRecovered<T>(
  answers: Readonly<Record<string, readonly T[]>>,
  recovered: Readonly<Record<string, readonly T[]>>,
): Readonly<Record<string, readonly T[]>> {
  const filled = Object.entries(recovered).filter(([id]) => (answers[id] ?? []).length === 0);
  return { ...answers, ...Object.fromEntries(filled) };
}

async function scanTable(
  elf: ElfFile | undefined,
  type: TableType,
  source: SymbolSource,
  queries: readonly SymbolQuery[],
  problems: string[],
  pause: () => Promise<void>,
): Promise<SourcedScan> {
  const nothing: SourcedScan = { source, functions: 0, matches: [] };
  const table = elf && findSymbolTable(elf, type);
  if (elf === undefined || table === undefined) return nothing;
  try {
    return { source, ...(await matchSymbols(elf, table, queries, pause)) };
  } catch (error) {
    problems.push(`Symbols of ${elf.name} not used. ${messageOf(error)}`);
    return nothing;
  }
}
