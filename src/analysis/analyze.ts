import { type ElfFile, parseElf } from '../elf/elf.ts';
import { cacheKey, contentId, defaultCacheDirectory, isSettled, readCache, writeEntry } from './cache.ts';
import { createCodeReader } from './code-reader.ts';
import { collectFacts } from './collect.ts';
import { debugCandidates } from './debug-file.ts';
import type { BinaryFacts, CodeReader, MemberQuery, SymbolQuery } from './facts.ts';
import { checkLoadable, fileFacts } from './file-facts.ts';
import { FileSource } from './file-source.ts';

export interface Analysis {
  readonly facts: BinaryFacts;
  readonly readCode: CodeReader;
  /** What could not be used and why: a debug file that does not belong to this one, a damaged table. */
  readonly problems: readonly string[];
  /** Where facts of these very bytes are kept, and under which name; undefined when they are not. */
  readonly cached: CachePlace | undefined;
}

export interface CachePlace {
  readonly directory: string;
  readonly key: string;
}

export interface AnalyzeOptions {
  /** Folder for facts of files seen before; `false` keeps none. */
  readonly cacheDirectory?: string | false;
  /** What DWARF is asked for, where the file has it. */
  readonly members?: readonly MemberQuery[];
  /** Where distributions put separate debug files: `/usr/lib/debug`. */
  readonly debugRoot?: string;
}

/**
 * Facts of the executable or shared object at `path`. UserError when it is none, or for another machine.
 */
export async function analyze(
  path: string,
  queries: readonly SymbolQuery[],
  options: AnalyzeOptions = {},
): Promise<Analysis> {
  using source = new FileSource(path);
  const elf = parseElf(source, path);
  checkLoadable(elf);
  const analysis = await cachedFacts(elf, source, queries, options);
  return { ...analysis, readCode: createCodeReader(path, source.identity, analysis.facts.segments) };
}

async function cachedFacts(
  elf: ElfFile,
  source: FileSource,
  queries: readonly SymbolQuery[],
  options: AnalyzeOptions,
): Promise<Omit<Analysis, 'readCode'>> {
  const directory = options.cacheDirectory ?? defaultCacheDirectory(process.env);
  const own = fileFacts(elf);
  const members = options.members ?? [];
  const problems: string[] = [];
  const candidates = debugCandidates(elf, own.buildId, problems, options.debugRoot);
  if (directory === false || !isSettled(source.identity, Date.now())) {
    const facts = await collectFacts(elf, own, candidates, { queries, members }, problems);
    return { facts, problems, cached: undefined };
  }
  const paths = candidates.map(({ path }) => path);
  const key = cacheKey(contentId(own.buildId, source.identity), paths, { queries, members });
  const known = readCache(directory, key);
  const cached = { directory, key };
  if (known !== undefined) return { ...known, cached };
  const facts = await collectFacts(elf, own, candidates, { queries, members }, problems);
  writeEntry(directory, key, { facts, problems });
  return { facts, problems, cached };
}
