import { analyze } from '../analysis/analyze.ts';
import { QUERIES } from '../libraries/index.ts';
import { MEMBER_QUERIES } from '../libraries/measured.ts';
import { makePlan } from '../plan/make-plan.ts';
import type { Tier } from '../plan/plan.ts';
import { planText } from './plan-text.ts';

export interface PlanOptions {
  readonly json: boolean;
  readonly tier?: Tier;
}

/** Prints what would be done to `file`: every site, layout and source, and what is missing and why. */
export async function planCommand(
  file: string,
  options: PlanOptions,
  write: (text: string) => void,
): Promise<number> {
  const { facts, readCode, problems } = await analyze(file, QUERIES, { members: MEMBER_QUERIES });
  const plan = makePlan({ facts, readCode }, options.tier ?? 'auto');
  write(options.json ? `${JSON.stringify(plan, undefined, 2)}\n` : planText(file, plan, problems));
  return 0;
}
