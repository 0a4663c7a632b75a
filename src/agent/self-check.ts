import type { CheckEvent } from '../events/events.ts';
import { CHECK_TRUSTED, DOUBT } from '../events/layout.ts';
import type { ProbeSite, TaskSlot } from '../plan/plan.ts';
import type { Links } from './kernel-values.ts';

export type Verdict = 'wait' | 'off' | 'partial';

/** A page may be out of memory at the moment it is looked at: once is nothing. */
const WRONG_HITS = 4;
/** The task slot: what is read under a wrong one is a wrong parent. */
const WRONG_TASKS = 2;
/** Bytes that the peer may have sent: so many, and never one that was right. */
const ODD_HITS = 64;

/** What to do about a site that the kernel side has complained of. */
export function judge({
  doubt,
  score,
  wrong,
  odd,
}: Pick<CheckEvent, 'doubt' | 'score' | 'wrong' | 'odd'>): Verdict {
  if (doubt === DOUBT.UNANSWERED) return 'partial';
  if (doubt === DOUBT.HEAD) return odd >= ODD_HITS && score === 0 ? 'off' : 'wait';
  const most = doubt === DOUBT.TASK_MOVED || doubt === DOUBT.TASK_KEPT ? WRONG_TASKS : WRONG_HITS;
  return wrong >= most && score < CHECK_TRUSTED ? 'off' : 'wait';
}

/** Calls fail before they are written, and programs write requests without them: never all of both. */
const UNLINKED = 64;

/** Whether the library's calls are found again where they are written; undefined: too few were made. */
export function linksCalls({ calls, links, unlinked }: Links): boolean | undefined {
  if (links > 0) return true;
  return calls >= UNLINKED && unlinked >= UNLINKED ? false : undefined;
}

const MEANINGS: Readonly<Record<number, string>> = {
  [DOUBT.MEMORY]: 'what should be there can not be read',
  [DOUBT.POINTER]: 'no pointer where one must be',
  [DOUBT.SIZE]: 'a size that no such thing has',
  [DOUBT.STATUS]: 'no status from 100 to 999',
  [DOUBT.METHOD]: 'no HTTP method',
  [DOUBT.TEXT]: 'not what such a text begins with',
  [DOUBT.STREAM]: 'no number of a stream',
  [DOUBT.STATE]: 'no state of a future',
  [DOUBT.ROUTE]: "no such route in the router's table",
  [DOUBT.TASK]: 'no id of a task',
  [DOUBT.TASK_ORDER]: 'ids of tasks do not grow',
  [DOUBT.TASK_MOVED]: 'the requests of one connection in different tasks',
  [DOUBT.TASK_KEPT]: 'new tasks are never seen to run',
  [DOUBT.HEAD]: 'no HTTP head',
};

/** What was wrong with a site, and what it showed: for a bug report. */
export function evidenceOf({ doubt, value, data, wrong, odd }: CheckEvent): string {
  const hits = doubt === DOUBT.HEAD ? odd : wrong;
  const bytes = data.length > 0 ? `, bytes ${Buffer.from(data).toString('hex')}` : '';
  return `${MEANINGS[doubt] ?? `doubt ${doubt}`} (0x${value.toString(16)}${bytes}; ${hits} hits)`;
}

/** Where a site is and what it is known from. */
export function placeOf(site: ProbeSite): string {
  const { hook, functionName, functionOffset, svma, evidence } = site;
  return `${hook} at 0x${svma.toString(16)} (${functionName}+0x${functionOffset.toString(16)}; ${evidence})`;
}

export function placeOfSlot({ threadPointerOffset, idOffset, evidence }: TaskSlot): string {
  return `Tokio's task slot at fs${signed(threadPointerOffset + idOffset)} (${evidence})`;
}

const signed = (offset: number) => `${offset < 0 ? '-' : '+'}0x${Math.abs(offset).toString(16)}`;
