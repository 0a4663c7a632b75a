import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './child.ts';

/** CLIENT spans by what they hang from, of requests whose paths are numbered. */
export interface Edges {
  readonly right: number;
  /** Under the span of another request. */
  readonly wrong: number;
  /** Under a span that never came. */
  readonly lost: number;
  /** Without a parent. */
  readonly unknown: number;
  /** Requests whose call has no span. */
  readonly missing: number;
}

/** An OTLP endpoint that counts spans and forgets them, or keeps them until their edges are asked for. */
export class Sink implements Disposable {
  readonly #child: Child;
  readonly port: number;

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(programs: string, cpu: number, kept?: 'edges'): Promise<Sink> {
    const program = join(programs, 'bench-sink');
    const [child, [, port]] = await Child.started(/^listening (\d+) /, program, kept ? [kept] : [], { cpu });
    return new Sink(child, Number(port));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}/v1/traces`;
  }

  /** Spans received so far. */
  async spans(): Promise<number> {
    return (await this.#numbers('/'))[0] ?? 0;
  }

  /** Of the spans received since the last time, of a sink that keeps them. */
  async edges(): Promise<Edges> {
    const [right = 0, wrong = 0, lost = 0, unknown = 0, missing = 0] = await this.#numbers('/edges');
    return { right, wrong, lost, unknown, missing };
  }

  async #numbers(path: string): Promise<number[]> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`);
    return (await response.text()).split(' ').map(Number);
  }

  /** Waits until so many have come, or none for `quietMs`. Returns how many came. */
  async settle(wanted: number, quietMs: number): Promise<number> {
    let last = await this.spans();
    let since = performance.now();
    while (last < wanted && performance.now() - since < quietMs) {
      await sleep(20);
      const now = await this.spans();
      if (now !== last) since = performance.now();
      last = now;
    }
    return last;
  }

  [Symbol.dispose](): void {
    this.#child[Symbol.dispose]();
  }
}
