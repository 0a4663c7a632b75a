import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Analysis } from '../analysis/analyze.ts';
import { readEntry, writeEntry } from '../analysis/cache.ts';
import { makePlan } from '../plan/make-plan.ts';
import type { Plan, Tier } from '../plan/plan.ts';

/** Code and tables that decide what is planned. */
const DECIDING = ['plan', 'libraries', 'x86'];

/**
 * The plan of a binary, from the last start when there is one: the disassembler that plans need takes 20 MB of
 * memory, which an agent that knows its programs does without.
 */
export async function cachedPlan(analysis: Analysis, tier: Tier): Promise<Plan> {
  const { cached } = analysis;
  if (!cached) return await makePlan(analysis, tier);
  const key = createHash('sha256')
    .update(JSON.stringify([cached.key, tier, codeStamp()]))
    .digest('hex');
  const known = readEntry<Plan>(cached.directory, key);
  if (known) return known;
  const plan = await makePlan(analysis, tier);
  writeEntry(cached.directory, key, plan);
  return plan;
}

let stamp: readonly (readonly (string | number)[])[] | undefined;

function codeStamp() {
  stamp ??= DECIDING.flatMap((folder) => {
    const directory = join(import.meta.dirname, '..', folder);
    const files = readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort();
    return files.map((file) => {
      const { size, mtimeMs } = statSync(join(directory, file));
      return [file, size, mtimeMs];
    });
  });
  return stamp;
}
