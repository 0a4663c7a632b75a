import { analyze } from '../analysis/analyze.ts';
import { writeEntry } from '../analysis/cache.ts';
import { QUERIES } from '../libraries/index.ts';
import { MEMBER_QUERIES } from '../libraries/measured.ts';
import { makePlan } from '../plan/make-plan.ts';
import { type FileToPlan, type PlannedFile, planKey } from './known-plan.ts';

/** Analyses a file and plans for it, and keeps that for later starts. UserError for a file that is not a program. */
export async function planFile(file: FileToPlan): Promise<PlannedFile> {
  const { path, tier, cacheDirectory } = file;
  const key = planKey(file);
  const analysis = await analyze(path, QUERIES, { cacheDirectory, members: MEMBER_QUERIES });
  const planned = {
    plan: analysis.facts.isRust ? makePlan(analysis, tier) : undefined,
    problems: analysis.problems,
  };
  if (key !== undefined && isStill(file, key)) writeEntry(cacheDirectory, key, planned);
  return planned;
}

/** The file under this path may have become another meanwhile, or gone. */
function isStill(file: FileToPlan, key: string): boolean {
  try {
    return planKey(file) === key;
  } catch {
    return false;
  }
}
