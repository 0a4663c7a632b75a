import { Worker } from 'node:worker_threads';
import { defaultCacheDirectory } from '../analysis/cache.ts';
import { UserError } from '../base/errors.ts';
import type { Tier } from '../plan/plan.ts';
import { stateOf } from './held-file.ts';
import { codeStamp, type FileToPlan, knownPlan, type PlannedFile } from './known-plan.ts';
import type { PlanAnswer, PlanRequest } from './plan-thread.ts';

/** How long the thread waits for another file. */
const IDLE_MS = 500;

/**
 * Plans for files, those that are not known in a thread of their own: the ring is read meanwhile, however large the
 * file is, and the tables of a binary and the disassembler, tens of MB, go with the thread.
 */
export class Planner implements Disposable {
  readonly #tier: Tier;
  readonly #cacheDirectory: string;
  /** The last file's turn. One after another: memory is for one. */
  #turn: Promise<unknown> = Promise.resolve();
  /** What was planned before it was asked for, by the state of the file. */
  readonly #ahead = new Map<string, Promise<PlannedFile>>();
  #thread: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(tier: Tier, cacheDirectory = defaultCacheDirectory(process.env)) {
    this.#tier = tier;
    this.#cacheDirectory = cacheDirectory;
  }

  /** Plans for files of running processes, which are asked for soon, while other things are waited for. */
  planAhead(paths: readonly string[]): void {
    for (const path of paths) {
      try {
        const key = stateOf(path);
        if (this.#ahead.has(key)) continue;
        const planned = this.plan(path);
        planned.catch(() => undefined);
        this.#ahead.set(key, planned);
      } catch {
        // told when it is asked for
      }
    }
  }

  #file(path: string): FileToPlan {
    return { path, tier: this.#tier, cacheDirectory: this.#cacheDirectory };
  }

  /** UserError for a file that is not a program. After the planner's end nothing comes. */
  async plan(path: string): Promise<PlannedFile> {
    const key = stateOf(path);
    const ahead = this.#ahead.get(key);
    this.#ahead.delete(key);
    if (ahead) return await ahead;
    const file = this.#file(path);
    const known = knownPlan(file);
    if (known) return known;
    const planned = this.#turn.then(() => this.#planAside(file));
    this.#turn = planned.catch(() => undefined);
    return await planned;
  }

  async #planAside(file: FileToPlan): Promise<PlannedFile> {
    if (this.#closed) return await new Promise<never>(() => undefined);
    clearTimeout(this.#idle);
    this.#thread ??= this.#start();
    const thread = this.#thread;
    thread.ref();
    try {
      const answer = await ask(thread, { file, codeStamp: codeStamp() });
      if ('plan' in answer) return answer;
      const error = answer.isUserError ? new UserError(answer.message) : new Error(answer.message);
      if (answer.stack !== undefined) error.stack = answer.stack;
      throw error;
    } catch (error) {
      if (!(error instanceof UserError)) this.#end(); // the next file has another thread
      throw error;
    } finally {
      thread.unref();
      this.#idle = setTimeout(() => this.#end(), IDLE_MS).unref();
    }
  }

  #start(): Worker {
    const thread = new Worker(new URL('./plan-thread.js', import.meta.url));
    thread.on('error', () => undefined); // of a thread that nobody has asked: another one is started
    thread.once('exit', () => {
      if (this.#thread === thread) this.#thread = undefined;
    });
    return thread;
  }

  #end(): void {
    const thread = this.#thread;
    this.#thread = undefined;
    void thread?.terminate();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#idle);
    this.#end();
  }
}

/** Fails when the thread ends before it answers, or can't be started. */
function ask(thread: Worker, request: PlanRequest): Promise<PlanAnswer> {
  return new Promise<PlanAnswer>((resolve, reject) => {
    const settle = (act: () => void) => {
      thread.off('message', answered).off('error', failed).off('exit', ended);
      act();
    };
    const answered = (answer: PlanAnswer) => settle(() => resolve(answer));
    const failed = (error: Error) => settle(() => reject(error));
    const ended = () =>
      failed(new Error(`Cannot plan for ${request.file.path}: the planning thread has ended`));
    thread.on('message', answered).on('error', failed).on('exit', ended);
    thread.postMessage(request);
  });
}
