import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Child } from './child.ts';
import type { Places } from './places.ts';

/** A process that attaches bare hooks to a target: what they cost is the least that any tracer does. */
export class Yardstick implements Disposable {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** `programs`: of the agent, whose places are taken. */
  static async start(places: Places, pid: number, programs: readonly string[]): Promise<Yardstick> {
    const script = fileURLToPath(new URL('yardstick-hooks.js', import.meta.url));
    const executable = realpathSync(`/proc/${pid}/exe`);
    const args = [script, `${pid}`, executable, programs.join(',')];
    const [child] = await Child.started(/^ready$/m, process.execPath, args, { cpu: places.agentCpu });
    return new Yardstick(child);
  }

  async stop(): Promise<void> {
    const code = await this.#child.stop();
    if (code !== 0) throw new Error(`The yardstick ended with ${code}: ${this.#child.output.slice(-2000)}`);
  }

  [Symbol.dispose](): void {
    this.#child[Symbol.dispose]();
  }
}
