import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from './child.ts';
import type { Places } from './places.ts';
import { cpuMicroseconds, type Memory, memoryOf } from './proc.ts';

/** Short, so that the last partial batch of a run is soon sent. Full batches leave at once anyway. */
const SCHEDULE_DELAY_MS = '200';

/** What the agent itself says when it ends. */
export interface AgentReport {
  readonly spans: number;
  readonly exported: number;
  /** Names and counts of its loss counters that are not zero. */
  readonly lost: string;
}

/** The agent with its probes attached. */
export class Agent implements Disposable {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  static async start(
    places: Places,
    flags: readonly string[],
    more: Readonly<Record<string, string>> = {},
  ): Promise<Agent> {
    const [child] = await Child.started(
      /\bready\b/,
      process.execPath,
      [places.agent, 'run', '--status', 'off', '--trace-instrumented', ...flags],
      {
        cpu: places.agentCpu,
        env: {
          OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${places.sinkPort}`,
          OTEL_BSP_SCHEDULE_DELAY: SCHEDULE_DELAY_MS,
          XDG_CACHE_HOME: places.cache,
          ...more,
        },
      },
    );
    return new Agent(child);
  }

  get cpuMicroseconds(): number {
    return cpuMicroseconds(this.#child.pid);
  }

  get memory(): Memory {
    return memoryOf(this.#child.pid);
  }

  async stop(): Promise<AgentReport> {
    const code = await this.#child.stop();
    const { output } = this.#child;
    if (code !== 0) throw new Error(`The agent ended with ${code}: ${output.slice(-2000)}`);
    const found = /stopped: (\d+) spans, (\d+) exported(?:; lost: (.*))?/.exec(output);
    return { spans: Number(found?.[1] ?? 0), exported: Number(found?.[2] ?? 0), lost: found?.[3] ?? '' };
  }

  [Symbol.dispose](): void {
    this.#child[Symbol.dispose]();
  }
}

/** The largest resident memory seen while `work` goes on, 10⁶ bytes. */
export async function peakMemoryDuring<T>(agent: Agent | undefined, work: Promise<T>): Promise<[T, number]> {
  let peak = 0;
  let going = true;
  const done = work.finally(() => {
    going = false;
  });
  done.catch(() => undefined);
  while (going && agent) {
    peak = Math.max(peak, agent.memory.residentMb);
    await Promise.race([done, sleep(50)]);
  }
  return [await done, peak];
}
