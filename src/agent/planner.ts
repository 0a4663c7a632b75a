import { Worker } from 'node:worker_threads';
import { defaultCacheDirectory } from '../analysis/cache.ts';
import { UserError } from '../base/errors.ts';
import type { Tier } from '../plan/plan.ts';
import { type FileToPlan, knownPlan, type PlannedFile } from './known-plan.ts';
import type { PlanAnswer, PlanRequest } from './plan-thread.ts';

/** How long the thread waits for another file. */
const IDLE_MS = 500;

interface Waiting {
  resolve(planned: PlannedFile): void;
  reject(error: Error): void;
}

/**
 * Plans for files, those that are not known in a thread of their own: the ring is read meanwhile, however large the
 * file is, and the tables of a binary and the disassembler, tens of MB, go with the thread.
 */
export class Planner implements Disposable {
  readonly #tier: Tier;
  readonly #cacheDirectory: string;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #thread: Worker | undefined;

  constructor(tier: Tier, cacheDirectory = defaultCacheDirectory(process.env)) {
    this.#tier = tier;
    this.#cacheDirectory = cacheDirectory;
  }

  /** UserError for a file that is not a program. */
  async plan(path: string): Promise<PlannedFile> {
    const file = { path, tier: this.#tier, cacheDirectory: this.#cacheDirectory };
    return knownPlan(file) ?? (await this.#planAside(file));
  }

  #planAside(file: FileToPlan): Promise<PlannedFile> {
    return new Promise((resolve, reject) => {
      this.#thread ??= this.#start();
      const id = ++this.#lastId;
      this.#waiting.set(id, { resolve, reject });
      this.#thread.ref();
      this.#thread.postMessage({ id, file } satisfies PlanRequest);
    });
  }

  #start(): Worker {
    const thread = new Worker(new URL('./plan-thread.js', import.meta.url));
    thread.on('message', (answer: PlanAnswer) => this.#answered(thread, answer));
    thread.on('error', (error) => this.#failed(thread, error));
    thread.on('exit', () => this.#failed(thread, new Error('The planning thread has ended')));
    return thread;
  }

  #answered(thread: Worker, { id, answer }: PlanAnswer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if ('plan' in answer) waiting?.resolve(answer);
    else if ('userError' in answer) waiting?.reject(new UserError(answer.userError));
    else waiting?.reject(new Error(answer.error));
    if (this.#waiting.size > 0) return;
    thread.unref();
    const last = this.#lastId;
    setTimeout(() => {
      if (this.#lastId === last) this.#end(thread);
    }, IDLE_MS).unref();
  }

  #end(thread: Worker): void {
    if (this.#thread === thread) this.#thread = undefined;
    void thread.terminate();
  }

  #failed(thread: Worker, error: Error): void {
    if (this.#thread !== thread) return;
    this.#thread = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  [Symbol.dispose](): void {
    if (this.#thread) this.#end(this.#thread);
  }
}
