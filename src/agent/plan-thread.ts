// A thread of the agent: answers each `PlanRequest` with a `PlanAnswer`.
import { parentPort } from 'node:worker_threads';
import { messageOf, UserError } from '../base/errors.ts';
import type { FileToPlan, PlannedFile } from './known-plan.ts';
import { planFile } from './plan-file.ts';

export interface PlanRequest {
  readonly id: number;
  readonly file: FileToPlan;
}

export interface PlanAnswer {
  readonly id: number;
  /** Classes of errors don't pass between threads. */
  readonly answer: PlannedFile | { readonly userError: string } | { readonly error: string };
}

parentPort?.on('message', ({ id, file }: PlanRequest) => {
  planFile(file)
    .catch((error: unknown) =>
      error instanceof UserError
        ? { userError: error.message }
        : { error: (error instanceof Error && error.stack) || messageOf(error) },
    )
    .then((answer) => parentPort?.postMessage({ id, answer } satisfies PlanAnswer));
});
