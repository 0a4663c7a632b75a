import { type Companion, measure, type Sample, type Setting } from './measure.ts';
import { type CallerVariant, type RpcVariant, Server, type Variant } from './server.ts';
import type { Sink } from './sink.ts';

/** What runs beside (or inside) the target. */
export const VARIANTS = {
  axum: 'axum 0.8',
  axumAgain: 'axum 0.8, again',
  axumBare: 'axum 0.8 + bare hooks',
  axumAgent: 'axum 0.8 + agent, route',
  axumTenth: 'axum 0.8 + agent, 10 % sampled',
  axumNone: 'axum 0.8 + agent, 0 % sampled',
  axumOther: 'axum 0.8, agent traces another program',
  hyper: 'hyper 1',
  hyperBare: 'hyper 1 + bare hooks',
  hyperAgent: 'hyper 1 + agent',
  hyperTls: 'hyper 1 in a program with rustls, plaintext',
  hyperTlsAgent: 'hyper 1 in a program with rustls, plaintext + agent',
  tls: 'axum 0.8 over TLS',
  tlsBare: 'axum 0.8 over TLS + bare hooks',
  tlsAgent: 'axum 0.8 over TLS + agent, route',
  byHand: 'axum 0.8 + a tower layer by hand on the SDK',
  tower: 'axum 0.8 + opentelemetry-instrumentation-tower',
  axumTracing: 'axum 0.8 + axum-tracing-opentelemetry',
  call: 'axum 0.8 that calls with reqwest 0.12',
  callAgain: 'axum 0.8 that calls with reqwest 0.12, again',
  callBare: 'axum 0.8 that calls + bare hooks',
  callAgent: 'axum 0.8 that calls + agent, route, exact parents, trace context in calls',
  callAgentAlone: 'axum 0.8 that calls + agent, route, exact parents, OTEL_PROPAGATORS=none',
  callByHand: 'axum 0.8 that calls + a tower layer and a client span by hand on the SDK',
  callTower: 'axum 0.8 that calls + opentelemetry-instrumentation-tower and a client span by hand',
  rpc: 'tonic 0.14 server',
  rpcAgain: 'tonic 0.14 server, again',
  rpcBare: 'tonic 0.14 server + bare hooks',
  rpcAgent: 'tonic 0.14 server + agent',
  rpcByHand: 'tonic 0.14 server + a tower layer by hand on the SDK',
  rpcCall: 'tonic 0.14 client',
  rpcCallAgain: 'tonic 0.14 client, again',
  rpcCallBare: 'tonic 0.14 client + bare hooks',
  rpcCallAgent: 'tonic 0.14 client + agent, trace context in calls',
  rpcCallAgentAlone: 'tonic 0.14 client + agent, OTEL_PROPAGATORS=none',
  rpcCallByHand: 'tonic 0.14 client + a tower layer by hand on the SDK',
} as const;

export type VariantName = keyof typeof VARIANTS;
export type Round = Readonly<Partial<Record<VariantName, Sample>>>;

interface Step extends Omit<Companion, 'flags'> {
  readonly name: VariantName;
  /** Flags of the agent beside, given the pids of the target and of a program that nobody talks to. */
  readonly flags?: (target: string, idle: string) => readonly string[];
}

/** Steps of a group run on one process, so that nothing but the agent differs between them. */
interface Group {
  readonly start: (setting: Setting) => Promise<Server>;
  readonly steps: readonly Step[];
  /** Its requests are numbered: the sink that keeps spans judges their edges. */
  readonly calls?: true;
  /** In place of the load's own: so many requests tell the agent what a program doesn't need. */
  readonly warmUp?: number;
}

export interface Sinks {
  readonly counting: Sink;
  readonly keeping: Sink;
}

const SOCKETS = ['socket_received', 'socket_sent'] as const;
const ROUTE = 'axum_set_matched_path';
/** The agent's programs that run for a request of each target. */
const HOOKS = {
  hyper: SOCKETS,
  axum: [...SOCKETS, ROUTE],
  tls: ['hyper_server_parse', 'hyper_server_encode', ROUTE],
  call: [...SOCKETS, ROUTE, 'hyper_client_call', 'hyper_client_encode', 'hyper_client_drop'],
  rpc: ['h2_recv_headers', 'h2_send_headers', 'h2_send_trailers'],
  rpcCall: [
    ...['tonic_call', 'tonic_drop', 'tokio_task_new', 'h2_send_request', 'h2_send_headers'],
    ...['h2_recv_headers', 'h2_recv_trailers'],
  ],
} as const;

const ALONE = { OTEL_PROPAGATORS: 'none' };
const traced = (target: string) => ['--pid', target];
const sampled = (share: string) => (target: string) => [
  ...['--pid', target],
  ...['--sampler', 'traceidratio', '--sampler-arg', share],
];

const sdk = (name: VariantName, variant: Variant): Group => ({
  start: ({ places }) => Server.bench(places, variant),
  steps: [{ name }],
});

const callerSdk = (name: VariantName, variant: CallerVariant): Group => ({
  start: ({ places }) => Server.caller(places, variant),
  steps: [{ name }],
  calls: true,
});

type RpcStart = (places: Setting['places'], variant: RpcVariant) => Promise<Server>;

const rpc = (start: RpcStart, variant: RpcVariant, steps: readonly Step[]): Group => ({
  start: ({ places }) => start(places, variant),
  steps,
});

/** Tasks without a call after which the probes on new tasks are parked, and some more. */
const IDLE_TASKS = 110_000;

const GROUPS: readonly Group[] = [
  {
    start: ({ places }) => Server.bench(places, 'bare'),
    steps: [
      { name: 'axum' },
      { name: 'axumBare', bare: HOOKS.axum },
      { name: 'axumAgent', flags: traced },
      { name: 'axumTenth', flags: sampled('0.1') },
      { name: 'axumNone', flags: sampled('0') },
      { name: 'axumOther', flags: (_, idle) => ['--pid', idle] },
      { name: 'axumAgain' },
    ],
  },
  {
    start: ({ places }) => Server.bench(places, 'hyper'),
    steps: [
      { name: 'hyper' },
      { name: 'hyperBare', bare: HOOKS.hyper },
      { name: 'hyperAgent', flags: traced },
    ],
  },
  {
    start: ({ places }) => Server.fixture(places, 'hyper1'),
    steps: [{ name: 'hyperTls' }, { name: 'hyperTlsAgent', flags: traced }],
  },
  {
    start: ({ places }) => Server.fixture(places, 'axum08', true),
    steps: [{ name: 'tls' }, { name: 'tlsBare', bare: HOOKS.tls }, { name: 'tlsAgent', flags: traced }],
  },
  sdk('byHand', 'by-hand'),
  sdk('tower', 'tower'),
  sdk('axumTracing', 'axum-tracing'),
  {
    start: ({ places }) => Server.caller(places, 'bare'),
    steps: [
      { name: 'call' },
      { name: 'callBare', bare: HOOKS.call },
      { name: 'callAgent', flags: traced },
      { name: 'callAgentAlone', flags: traced, env: ALONE },
      { name: 'callAgain' },
    ],
    calls: true,
  },
  callerSdk('callByHand', 'by-hand'),
  callerSdk('callTower', 'tower'),
  {
    ...rpc(Server.rpcServer, 'bare', [
      { name: 'rpc' },
      { name: 'rpcBare', bare: HOOKS.rpc },
      { name: 'rpcAgent', flags: traced },
      { name: 'rpcAgain' },
    ]),
    warmUp: IDLE_TASKS,
  },
  rpc(Server.rpcServer, 'by-hand', [{ name: 'rpcByHand' }]),
  rpc(Server.rpcCaller, 'bare', [
    { name: 'rpcCall' },
    { name: 'rpcCallBare', bare: HOOKS.rpcCall },
    { name: 'rpcCallAgent', flags: traced },
    { name: 'rpcCallAgentAlone', flags: traced, env: ALONE },
    { name: 'rpcCallAgain' },
  ]),
  rpc(Server.rpcCaller, 'by-hand', [{ name: 'rpcCallByHand' }]),
];

/** Every variant once; each second round backwards, so that a drift of the machine cancels out. */
export async function runRound(
  { places, load }: Omit<Setting, 'sink'>,
  sinks: Sinks,
  index: number,
  say: (text: string) => void,
): Promise<Round> {
  const forwards = index % 2 === 0;
  const round: Partial<Record<VariantName, Sample>> = {};
  using idle = await Server.fixture(places, 'hyper014');
  for (const group of forwards ? GROUPS : GROUPS.toReversed()) {
    const sink = group.calls ? sinks.keeping : sinks.counting;
    const { warmUp = load.warmUp } = group;
    const setting = { places: { ...places, sinkPort: sink.port }, load: { ...load, warmUp }, sink };
    using server = await group.start(setting);
    for (const { name, flags, ...more } of forwards ? group.steps : group.steps.toReversed()) {
      const own = flags && { flags: flags(`${server.pid}`, `${idle.pid}`) };
      const sample = await measure(setting, server, { ...own, ...more });
      round[name] = sample;
      say(
        `${VARIANTS[name]}: ${sample.targetCpu.toFixed(2)} µs, ${Math.round(sample.requestsPerSecond)} requests/s`,
      );
    }
  }
  return round;
}
