// A thread of the agent: answers each `PlanRequest` with a `PlanAnswer`, one after another.
import { parentPort } from 'node:worker_threads';
import { UserError } from '../base/errors.ts';
import { codeStamp, type FileToPlan, type PlannedFile } from './known-plan.ts';
import { planFile } from './plan-file.ts';

export interface PlanRequest {
  readonly file: FileToPlan;
  /** Of the code that asks: the agent's files may have been replaced since it was started. */
  readonly codeStamp: string;
}

export type PlanAnswer = PlannedFile | PlanFailure;

/** Classes of errors don't pass between threads. */
interface PlanFailure {
  readonly isUserError: boolean;
  readonly message: string;
  readonly stack: string | undefined;
}

parentPort?.on('message', (request: PlanRequest) => {
  answerTo(request)
    .catch(failureOf)
    .then((answer: PlanAnswer) => parentPort?.postMessage(answer));
});

async function answerTo(request: PlanRequest): Promise<PlannedFile> {
  if (request.codeStamp !== codeStamp())
    throw new UserError(`Cannot plan for ${request.file.path}: the agent was replaced; restart it`);
  return await planFile(request.file);
}

function failureOf(error: unknown): PlanFailure {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  return { isUserError: error instanceof UserError, message, stack };
}
