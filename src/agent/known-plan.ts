import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { cacheKey, readEntry } from '../analysis/cache.ts';
import { debugCandidates } from '../analysis/debug-file.ts';
import { checkLoadable } from '../analysis/file-facts.ts';
import { FileSource } from '../analysis/file-source.ts';
import { parseElf } from '../elf/elf.ts';
import { buildId } from '../elf/notes.ts';
import type { Plan, Tier } from '../plan/plan.ts';

/** A file to plan for, and where plans are kept. */
export interface FileToPlan {
  readonly path: string;
  readonly tier: Tier;
  readonly cacheDirectory: string;
}

export interface PlannedFile {
  /** undefined: not a Rust program. */
  readonly plan: Plan | undefined;
  /** What could not be used and why: a debug file that does not belong to this one, a damaged table. */
  readonly problems: readonly string[];
}

/**
 * What was planned for these very bytes at an earlier start, by this very code. UserError for a file that is not
 * a program.
 */
export function knownPlan(file: FileToPlan): PlannedFile | undefined {
  const key = planKey(file);
  return key === undefined ? undefined : readEntry<PlannedFile>(file.cacheDirectory, key);
}

/** undefined for a file that may still change. */
export function planKey({ path, tier }: FileToPlan): string | undefined {
  using source = new FileSource(path);
  const elf = parseElf(source, path);
  checkLoadable(elf);
  const debugPaths = debugCandidates(elf, buildId(elf), []).map((candidate) => candidate.path);
  return cacheKey({ elf, identity: source.identity, debugPaths, asked: [tier, codeStamp()] });
}

/** Code and tables that decide what is planned. */
const DECIDING = ['analysis', 'base', 'dwarf', 'elf', 'libraries', 'plan', 'recover', 'rust', 'x86'];

let stamp: string | undefined;

/** Tells one state of that code from another. */
export function codeStamp(): string {
  if (stamp !== undefined) return stamp;
  const hash = createHash('sha256');
  for (const folder of DECIDING) {
    const directory = join(import.meta.dirname, '..', folder);
    for (const file of readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort()) {
      const { size, mtimeMs } = statSync(join(directory, file));
      hash.update(JSON.stringify([file, size, mtimeMs]));
    }
  }
  stamp = hash.digest('hex');
  return stamp;
}
