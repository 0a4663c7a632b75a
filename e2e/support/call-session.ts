import assert from 'node:assert/strict';
import { fixture } from './built.ts';
import { compareTree, type Edges, type TreeOptions } from './call-tree.ts';
import { Child } from './child.ts';
import { problemText } from './compare.ts';
import type { LoadRecord } from './load.ts';
import type { Span } from './otlp.ts';
import { Session, type SessionOptions } from './session.ts';
import type { Target, TargetOptions } from './target.ts';

export interface CallOptions extends TargetOptions {
  /** The program's calls are over TLS. */
  readonly https?: boolean;
}

/** A session whose target calls a second program. */
export class CallSession implements Disposable {
  readonly downstream: Downstream;
  readonly session: Session;

  private constructor(downstream: Downstream, session: Session) {
    this.downstream = downstream;
    this.session = session;
  }

  static async start(options: CallOptions, agent: SessionOptions = {}): Promise<CallSession> {
    const downstream = await startDownstream(options.https ?? false, options.program.endsWith('h2'));
    try {
      const args = ['--downstream', downstream.base, ...(options.args ?? [])];
      return new CallSession(downstream, await Session.start({ ...options, args }, agent));
    } catch (error) {
      downstream[Symbol.dispose]();
      throw error;
    }
  }

  get target(): Target {
    return this.session.target;
  }

  /** Ends the session; fails unless every call has its span under the span of its request. */
  async assertTree(records: readonly LoadRecord[], options: Partial<TreeOptions> = {}): Promise<Edges> {
    return this.compare(await this.session.finish(), records, options);
  }

  compare(spans: readonly Span[], records: readonly LoadRecord[], options: Partial<TreeOptions> = {}): Edges {
    const { edges, problems } = compareTree(spans, records, { base: this.downstream.base, ...options });
    if (problems.length > 0) {
      const counts = `${records.length} requests; edges ${JSON.stringify(edges)}`;
      const said = this.session.agent.child.stderr.slice(-3000);
      assert.fail(`${counts}\n${problemText(problems, 6)}\nThe agent: ${said}`);
    }
    return edges;
  }

  [Symbol.dispose](): void {
    this.session[Symbol.dispose]();
    this.downstream[Symbol.dispose]();
  }
}

interface Downstream extends Disposable {
  readonly base: string;
}

async function startDownstream(https: boolean, h2: boolean): Promise<Downstream> {
  const child = new Child(fixture(h2 ? 'downstreamh2' : 'downstream'), https ? ['--tls'] : []);
  const [, port] = await child.waitFor('stdout', /^listening (\d+) pid \d+\n/);
  return {
    base: `${https ? 'https' : 'http'}://127.0.0.1:${port}`,
    [Symbol.dispose]: () => child[Symbol.dispose](),
  };
}
