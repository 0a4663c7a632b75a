import assert from 'node:assert/strict';
import { type Agent, startAgent } from './agent.ts';
import { type FixtureProfile, fixture } from './built.ts';
import type { Edges } from './call-tree.ts';
import { Child } from './child.ts';
import { Collector } from './collector.ts';
import { problemText } from './compare.ts';
import { compareGrpc, type GrpcTruth } from './grpc-compare.ts';
import { finishGrpcLoad, type GrpcLoad, type GrpcPeer, type GrpcRecord, startGrpcLoad } from './grpc-load.ts';
import type { Span } from './otlp.ts';
import { pause } from './raw-client.ts';
import { Scratch } from './scratch.ts';
import { type Program, sharedCopy, startTarget, type Target } from './target.ts';

/** More than the second after which the agent looks again. */
const HEARD_MS = 5_000;
/** Ends that a client sees before its server does. */
const SETTLE_MS = 400;
const RELAY_AFTER_MS = '300';

export interface GrpcOptions {
  readonly program: Program;
  readonly profile?: FixtureProfile;
  /** What the load speaks to. */
  readonly tls?: boolean;
  /** What the program calls: TLS as itself. */
  readonly runtime?: 'multi' | 'current';
  /** The program that is called is traced, too. */
  readonly traceDownstream?: boolean;
  readonly background?: boolean;
  /** The load's, which for programs with more than gRPC is another one. */
  readonly driver?: GrpcPeer;
  /** What the program calls; the driver unless told. */
  readonly called?: GrpcPeer;
  readonly env?: Readonly<Record<string, string>>;
  /** As in SessionOptions. */
  readonly change?: string;
  /** `--attach` later: `attach()`. */
  readonly detached?: boolean;
}

interface Held {
  scratch: Scratch;
  collector: Collector;
  downstream: Server;
  relay: Server;
  front: Target;
  agent: Agent | undefined;
}

interface Server extends Disposable {
  readonly child: Child;
  readonly port: number;
}

/** A gRPC program, one like it that it calls, a relay between them that loses connections, a Collector, an agent. */
export class GrpcSession implements Disposable {
  readonly options: GrpcOptions;
  readonly #held: Held;

  private constructor(options: GrpcOptions, held: Held) {
    this.options = options;
    this.#held = held;
  }

  static async start(options: GrpcOptions): Promise<GrpcSession> {
    const held: Partial<Held> = {};
    try {
      held.scratch = new Scratch();
      held.collector = await Collector.start(held.scratch);
      const driver = options.driver ?? options.program;
      const executable = sharedCopy(options.program, options.profile);
      const called = options.traceDownstream ? executable : fixture(options.called ?? driver);
      const tls = options.tls ?? false;
      const tells = options.called === 'grpcgo' ? ['--tell'] : [];
      held.downstream = await startServer(called, tls ? ['--tls', ...tells] : tells);
      const scheme = tls ? 'https' : 'http';
      const address = (server: Server) => `${scheme}://127.0.0.1:${server.port}`;
      const relayed = ['--relay-after', RELAY_AFTER_MS, '--downstream', address(held.downstream)];
      held.relay = await startServer(fixture('grpc14'), relayed);
      const args = ['--downstream', address(held.downstream), '--relay', address(held.relay)];
      const all = options.background ? [...args, '--background'] : args;
      const { program, runtime = 'multi' } = options;
      held.front = await startTarget(executable, { program, runtime, tls, args: all });
      const session = new GrpcSession(options, held as Held);
      if (!options.detached) await session.attach();
      return session;
    } catch (error) {
      release(held);
      throw error;
    }
  }

  get port(): number {
    return this.#held.front.port;
  }

  get target(): Target {
    return this.#held.front;
  }

  async attach(): Promise<void> {
    const { collector, front } = this.#held;
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.httpEndpoint,
      OTEL_INSTRUMENTATION_GRPC_CAPTURE_METADATA_SERVER_REQUEST: 'x-id',
      OTEL_INSTRUMENTATION_GRPC_CAPTURE_METADATA_CLIENT_REQUEST: 'x-id',
      ...this.options.env,
    };
    this.#held.agent = await startAgent(['--exe', front.executable], env, this.options.change);
  }

  startLoad(load: GrpcLoad): Child {
    const { program, driver = program, tls = false } = this.options;
    return startGrpcLoad(driver, this.port, { tls, ...load });
  }

  async runLoad(load: GrpcLoad): Promise<readonly GrpcRecord[]> {
    using child = this.startLoad(load);
    return await finishGrpcLoad(child);
  }

  /** Stops the agent, which flushes, then the Collector. */
  async finish(): Promise<Span[]> {
    await pause(SETTLE_MS);
    await this.#held.agent?.stop();
    return await this.#held.collector.finish();
  }

  /** Until the agent says it. */
  async hear(wanted: RegExp): Promise<void> {
    await this.#held.agent?.child.waitFor('stderr', wanted, HEARD_MS);
  }

  /** By the agent. */
  get said(): string {
    return this.#held.agent?.child.stderr ?? '';
  }

  /** Calls' ids and what context the called server got of each; of grpc-go alone. */
  get told(): readonly (readonly [id: string, traceparent: string])[] {
    const lines = this.#held.downstream.child.stdout.split('\n');
    const told = lines.filter((line) => line.startsWith('context '));
    return told.map((line) => line.split(' ')).map(([, id = '', context = '']) => [id, context] as const);
  }

  compare(spans: readonly Span[], records: readonly GrpcRecord[], more: Partial<GrpcTruth> = {}): Edges {
    const { front, downstream, relay, agent } = this.#held;
    const { traceDownstream, tls } = this.options;
    const { edges, servers, problems } = compareGrpc(spans, records, {
      ...{ front: front.port, downstream: downstream.port, relay: relay.port, frontPid: front.child.pid },
      downstreamPid: traceDownstream ? downstream.child.pid : undefined,
      plaintext: !tls,
      ...more,
    });
    if (problems.length > 0) {
      const counts = `${records.length} requests, ${spans.length} spans, ${servers} of them SERVER; edges ${JSON.stringify(edges)}`;
      assert.fail(`${counts}\n${problemText(problems, 6)}\nThe agent: ${agent?.child.stderr.slice(-3000)}`);
    }
    return edges;
  }

  [Symbol.dispose](): void {
    release(this.#held);
  }
}

async function startServer(executable: string, args: readonly string[]): Promise<Server> {
  const child = new Child(executable, args);
  const [, port] = await child.waitFor('stdout', /^listening (\d+) pid \d+\n/);
  return { child, port: Number(port), [Symbol.dispose]: () => child[Symbol.dispose]() };
}

function release(held: Partial<Held>): void {
  const { agent, front, relay, downstream, collector, scratch } = held;
  for (const resource of [agent, front, relay, downstream, collector, scratch]) resource?.[Symbol.dispose]();
}
