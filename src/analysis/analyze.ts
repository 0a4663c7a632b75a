import { SHT_DYNSYM, SHT_SYMTAB } from '../elf/constants.ts';
import { type ElfFile, findSection, parseElf } from '../elf/elf.ts';
import { findSymbolTable } from '../elf/symbols.ts';
import { sortCrates } from '../rust/crates.ts';
import { identifyRustc } from '../rust/rustc.ts';
import { collectAnswers, type SourcedMatches } from './answers.ts';
import { createCodeReader } from './code-reader.ts';
import { scanContent } from './content.ts';
import { debugCandidates, openDebugFile } from './debug-file.ts';
import type { BinaryFacts, CodeReader, SymbolQuery, SymbolSource } from './facts.ts';
import { checkLoadable, fileFacts } from './file-facts.ts';
import { FileSource } from './file-source.ts';
import { createPause } from './pause.ts';
import { matchSymbols, type SymbolScan } from './symbol-match.ts';

export interface Analysis {
  readonly facts: BinaryFacts;
  readonly readCode: CodeReader;
  /** What could not be used and why: a debug file that does not belong to this one, a damaged table. */
  readonly problems: readonly string[];
}

/** Facts of the executable or shared object at `path`. UserError when it is none, or for another machine. */
export async function analyze(path: string, queries: readonly SymbolQuery[]): Promise<Analysis> {
  using source = new FileSource(path);
  const elf = parseElf(source, path);
  checkLoadable(elf);
  const problems: string[] = [];
  const facts = await collectFacts(elf, queries, problems);
  return { facts, readCode: createCodeReader(path, source.identity, facts.segments), problems };
}

/** Names that rustc puts into every program with the standard library, whatever it inlines. */
const RUST_NAMES: SymbolQuery = {
  id: 'rust',
  kind: 'function',
  contains: ['rust_'],
  pattern: /^(?:__rustc::)?(?:rust_begin_unwind|rust_panic|rust_eh_personality|__rust_alloc)$/,
};

async function collectFacts(
  elf: ElfFile,
  queries: readonly SymbolQuery[],
  problems: string[],
): Promise<BinaryFacts> {
  const pause = createPause();
  const own = fileFacts(elf);
  using debug = openDebugFile(elf, debugCandidates(elf, own.buildId, problems), problems);
  const asked = [...queries, RUST_NAMES];
  const scan = async (
    file: ElfFile | undefined,
    type: typeof SHT_SYMTAB | typeof SHT_DYNSYM,
    source: SymbolSource,
  ) => scanTable(file, type, source, asked, pause);
  const symtab = await scan(elf, SHT_SYMTAB, 'symtab');
  const dynsym = await scan(elf, SHT_DYNSYM, 'dynsym');
  const debugFile = await scan(debug?.elf, SHT_SYMTAB, 'debug-file');
  const tables = [symtab, dynsym, debugFile];
  const content = await scanContent(elf, pause);
  const rustc = identifyRustc(content.comment, content.rustcPaths);
  const files = debug === undefined ? [elf] : [elf, debug.elf];
  return {
    ...own,
    symbols: {
      symtab: symtab.functions,
      dynsym: dynsym.functions,
      debugFile: debugFile.functions,
      debugFilePath: debug?.path,
    },
    dwarf: files.some((file) => findSection(file, '.debug_info') !== undefined),
    isRust:
      rustc !== undefined || tables.some(({ matches }) => matches.some(({ query }) => query === RUST_NAMES)),
    rustc,
    crates: sortCrates(content.crates),
    ...collectAnswers(queries, tables, own.segments, own.tls?.memSize ?? 0),
  };
}

async function scanTable(
  elf: ElfFile | undefined,
  type: typeof SHT_SYMTAB | typeof SHT_DYNSYM,
  source: SymbolSource,
  queries: readonly SymbolQuery[],
  pause: () => Promise<void>,
): Promise<SymbolScan & SourcedMatches> {
  const table = elf && findSymbolTable(elf, type);
  if (elf === undefined || table === undefined) return { source, functions: 0, matches: [] };
  return { source, ...(await matchSymbols(elf, table, queries, pause)) };
}
