import { type ElfFile, parseElf } from '../elf/elf.ts';
import { type CachedFacts, cacheKey, defaultCacheDirectory, readCache, writeEntry } from './cache.ts';
import { createCodeReader } from './code-reader.ts';
import { collectFacts, type Questions } from './collect.ts';
import { debugCandidates } from './debug-file.ts';
import type { BinaryFacts, CodeReader, MemberQuery, SymbolQuery } from './facts.ts';
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
): Promise<CachedFacts> {
  const directory = options.cacheDirectory ?? defaultCacheDirectory(process.env);
  const own = fileFacts(elf);
  const questions = { queries, members: options.members ?? [] };
  const problems: string[] = [];
  const candidates = debugCandidates(elf, own.buildId, problems, options.debugRoot);
  const collect = async () => ({
    facts: await collectFacts(elf, own, candidates, questions, problems),
    problems,
  });
  if (directory === false) return await collect();
  const debugPaths = candidates.map(({ path }) => path);
  const asked = textOf(questions);
  const key = cacheKey({ elf, identity: source.identity, debugPaths, asked });
  if (key === undefined) return await collect();
  const known = readCache(directory, key);
  if (known) return known;
  const found = await collect();
  writeEntry(directory, key, found);
  return found;
}

/** Questions as JSON can tell them apart. */
function textOf({ queries, members }: Questions): unknown {
  const asked = queries.map(({ id, kind, contains, pattern, vtableWord, recovery, inlinedBeside }) => [
    id,
    kind,
    contains,
    String(pattern),
    vtableWord,
    recovery?.kind,
    inlinedBeside,
  ]);
  return [asked, members];
}
