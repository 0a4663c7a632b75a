import assert from 'node:assert/strict';
import { type Agent, startAgent, type Tier } from './agent.ts';
import { Collector, type CollectorOptions } from './collector.ts';
import { assertSpansMatch } from './compare.ts';
import type { LoadRecord } from './load.ts';
import type { Span } from './otlp.ts';
import { pause } from './raw-client.ts';
import { Scratch } from './scratch.ts';
import { sharedCopy, startTarget, type Target, type TargetOptions } from './target.ts';

/** The client is done before the server has closed its last connections. */
const SETTLE_MS = 200;

export interface SessionOptions {
  readonly tier?: Tier;
  readonly collector?: CollectorOptions;
  /** Environment of the agent in addition to the endpoint. */
  readonly env?: Readonly<Record<string, string>>;
  /** A mistake in what the agent attaches, see wrong-plans.ts. */
  readonly change?: string;
}

/** A collector, a target and an agent that traces it, each of its own. */
export class Session implements Disposable {
  readonly scratch: Scratch;
  readonly collector: Collector;
  readonly target: Target;
  readonly agent: Agent;

  private constructor(held: Held) {
    this.scratch = held.scratch;
    this.collector = held.collector;
    this.target = held.target;
    this.agent = held.agent;
  }

  static async start(target: TargetOptions, options: SessionOptions = {}): Promise<Session> {
    const held: Partial<Held> = {};
    try {
      held.scratch = new Scratch();
      held.collector = await Collector.start(held.scratch, options.collector);
      const executable = sharedCopy(target.program, target.profile);
      held.target = await startTarget(executable, target);
      const env = { OTEL_EXPORTER_OTLP_ENDPOINT: held.collector.httpEndpoint, ...options.env };
      const args = ['--exe', executable, ...(options.tier ? ['--tier', options.tier] : [])];
      held.agent = await startAgent(args, env, options.change);
      return new Session(held as Held);
    } catch (error) {
      release(held);
      throw error;
    }
  }

  /** Stops the agent, which flushes, then the Collector; returns all spans. */
  async finish(): Promise<Span[]> {
    await pause(SETTLE_MS);
    await this.agent.stop();
    return await this.collector.finish();
  }

  /** Ends the session; fails unless each request has exactly its span. A failure shows what the agent said. */
  async assertSpansMatch(records: readonly LoadRecord[]): Promise<void> {
    const spans = await this.finish();
    try {
      assertSpansMatch(spans, records, this.target);
    } catch (error) {
      assert.fail(`${error instanceof Error ? error.message : error}\nThe agent: ${this.agent.child.stderr}`);
    }
  }

  [Symbol.dispose](): void {
    release(this);
  }
}

interface Held {
  scratch: Scratch;
  collector: Collector;
  target: Target;
  agent: Agent;
}

/** In the opposite order of starting. */
function release(held: Partial<Held>): void {
  for (const resource of [held.agent, held.target, held.collector, held.scratch])
    resource?.[Symbol.dispose]();
}
