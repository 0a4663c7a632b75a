import { type ElfFile, parseElf } from '../elf/elf.ts';
import { cacheKey, contentId, defaultCacheDirectory, isSettled, readCache, writeCache } from './cache.ts';
import { createCodeReader } from './code-reader.ts';
import { collectFacts } from './collect.ts';
import { debugCandidates } from './debug-file.ts';
import type { BinaryFacts, CodeReader, SymbolQuery } from './facts.ts';
import { checkLoadable, fileFacts } from './file-facts.ts';
import { FileSource } from './file-source.ts';

export interface Analysis {
  readonly facts: BinaryFacts;
  readonly readCode: CodeReader;
  /** What could not be used and why: a debug file that does not belong to this one, a damaged table. */
  readonly problems: readonly string[];
}

export interface AnalyzeOptions {
  /** Folder for facts of files seen before; `false` keeps none. */
  readonly cacheDirectory?: string | false;
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
  const { facts, problems } = await cachedFacts(elf, source, queries, options);
  return { facts, problems, readCode: createCodeReader(path, source.identity, facts.segments) };
}

async function cachedFacts(
  elf: ElfFile,
  source: FileSource,
  queries: readonly SymbolQuery[],
  options: AnalyzeOptions,
): Promise<Omit<Analysis, 'readCode'>> {
  const directory = options.cacheDirectory ?? defaultCacheDirectory(process.env);
  const own = fileFacts(elf);
  const problems: string[] = [];
  const candidates = debugCandidates(elf, own.buildId, problems, options.debugRoot);
  if (directory === false || !isSettled(source.identity, Date.now())) {
    return { facts: await collectFacts(elf, own, candidates, queries, problems), problems };
  }
  const paths = candidates.map(({ path }) => path);
  const key = cacheKey(contentId(own.buildId, source.identity), paths, queries);
  const known = readCache(directory, key);
  if (known !== undefined) return known;
  const facts = await collectFacts(elf, own, candidates, queries, problems);
  writeCache(directory, key, { facts, problems });
  return { facts, problems };
}
