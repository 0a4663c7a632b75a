import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './child.ts';

/** An OTLP endpoint that counts spans and forgets them. */
export class Sink implements Disposable {
  readonly #child: Child;
  readonly port: number;

  private constructor(child: Child, port: number) {
    this.#child = child;
    this.port = port;
  }

  static async start(programs: string, cpu: number): Promise<Sink> {
    const child = new Child(join(programs, 'bench-sink'), [], { cpu });
    const [, port] = await child.waitFor(/^listening (\d+) /);
    return new Sink(child, Number(port));
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}/v1/traces`;
  }

  /** Spans received so far. */
  async spans(): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.port}/`);
    return Number((await response.text()).split(' ')[0]);
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
