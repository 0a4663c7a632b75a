import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, type AgentReport, peakMemoryDuring } from './agent.ts';
import { type LoadSize, startLoad } from './load.ts';
import type { Places } from './places.ts';
import { cpuMicroseconds } from './proc.ts';
import type { Server } from './server.ts';
import type { Edges, Sink } from './sink.ts';
import { Yardstick } from './yardstick.ts';

/** One load on one server. */
export interface Sample {
  readonly requestsPerSecond: number;
  /** CPU time of the target, µs a request. */
  readonly targetCpu: number;
  /** Share of its CPU that the target used. */
  readonly utilisation: number;
  /** Spans that reached the sink, warm-up included. */
  readonly spansPerRequest: number;
  /** Of those there could be: one a request and one more when it makes a call. */
  readonly spansShare: number;
  /** Of a server that calls another, when there are spans. */
  readonly edges: Edges | undefined;
  readonly agent: AgentSample | undefined;
}

export interface AgentSample {
  /** CPU time of the agent through to OTLP, µs a request. */
  readonly cpu: number;
  readonly restMb: number;
  readonly loadMb: number;
  readonly report: AgentReport;
}

export interface Setting {
  readonly places: Places;
  readonly sink: Sink;
  readonly load: LoadSize;
}

const QUIET_MS = 700;
/** Once a second the agent detaches what nothing has needed so far: that a program does so at its start is not measured. */
const PARKING_MS = 1_200;

/** What runs meanwhile: an agent with these flags, or bare hooks in place of these of its programs. */
export interface Companion {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly bare?: readonly string[];
}

export async function measure(
  setting: Setting,
  server: Server,
  { flags, env, bare }: Companion = {},
): Promise<Sample> {
  const { places, sink, load } = setting;
  const spansEach = server.downstream ? 2 : 1;
  using agent = flags && (await Agent.start(places, flags, env));
  using yardstick = bare && (await Yardstick.start(places, server.pid, bare));
  const restMb = agent?.memory.residentMb ?? 0;
  const spansBefore = await sink.spans();
  using generator = startLoad(places, server, load);
  await generator.warmUp();
  await settle(sink, agent, spansBefore + spansEach * load.warmUp);
  if (agent) await sleep(PARKING_MS);
  const target = cpuMicroseconds(server.pid);
  const own = agent?.cpuMicroseconds ?? 0;
  const [seconds, loadMb] = await peakMemoryDuring(agent, generator.run());
  const targetUs = cpuMicroseconds(server.pid) - target;
  await settle(sink, agent, spansBefore + spansEach * (load.warmUp + load.requests));
  const agentUs = (agent?.cpuMicroseconds ?? 0) - own;
  await generator.end();
  const report = await agent?.stop();
  await yardstick?.stop();
  const edges = server.downstream && (await edgesOf(sink, server, agent));
  const spansPerRequest = ((await sink.spans()) - spansBefore) / (load.requests + load.warmUp);
  return {
    requestsPerSecond: load.requests / seconds,
    targetCpu: targetUs / load.requests,
    utilisation: targetUs / (seconds * 1e6),
    spansPerRequest,
    spansShare: spansPerRequest / spansEach,
    edges,
    agent: report && { cpu: agentUs / load.requests, restMb, loadMb, report },
  };
}

/** Without an agent the spans are those of an SDK inside, which sends its last batch when its program ends. */
async function edgesOf(sink: Sink, server: Server, agent: Agent | undefined): Promise<Edges | undefined> {
  if (!agent && server.sdk) await server.child.stop();
  const edges = await sink.edges();
  return agent || server.sdk ? edges : undefined;
}

/** Until everything has been exported; without an agent nothing is awaited but a short rest. */
async function settle(sink: Sink, agent: Agent | undefined, wanted: number): Promise<void> {
  if (agent) await sink.settle(wanted, QUIET_MS);
  else await sleep(50);
}
