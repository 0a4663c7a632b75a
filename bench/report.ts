import type { FeedResult } from './feed.ts';
import { heading, type Row, table } from './markdown.ts';
import type { Sample } from './measure.ts';
import type { Edges } from './sink.ts';
import type { AnalysisTime, StartTime } from './start-time.ts';
import { show, spread } from './statistics.ts';
import { type Round, VARIANTS, type VariantName } from './target-cost.ts';

export interface Results {
  readonly rounds: readonly Round[];
  readonly feeds: readonly FeedResult[];
  readonly starts: readonly StartTime[];
  readonly analyses: readonly AnalysisTime[];
}

/** The bars of a figure, or none. */
type Bar = string | undefined;

interface Comparison {
  readonly name: VariantName;
  /** What it is compared with in the same round. */
  readonly with: VariantName;
  readonly bar: Bar;
}

const COMPARISONS: readonly Comparison[] = [
  { name: 'axumAgain', with: 'axum', bar: undefined },
  { name: 'hyperBare', with: 'hyper', bar: undefined },
  { name: 'hyperAgent', with: 'hyper', bar: '1.5' },
  { name: 'hyperTlsAgent', with: 'hyperTls', bar: '1.5' },
  { name: 'axumBare', with: 'axum', bar: undefined },
  { name: 'axumAgent', with: 'axum', bar: '2.5' },
  { name: 'axumTenth', with: 'axum', bar: undefined },
  { name: 'axumNone', with: 'axum', bar: undefined },
  { name: 'axumOther', with: 'axum', bar: '0.15' },
  { name: 'tlsBare', with: 'tls', bar: undefined },
  { name: 'tlsAgent', with: 'tls', bar: '3.5' },
  { name: 'byHand', with: 'axum', bar: undefined },
  { name: 'tower', with: 'axum', bar: undefined },
  { name: 'axumTracing', with: 'axum', bar: undefined },
];
const CALLS: readonly Comparison[] = [
  { name: 'callAgain', with: 'call', bar: undefined },
  { name: 'callBare', with: 'call', bar: undefined },
  { name: 'callAgent', with: 'call', bar: '9' },
  { name: 'callAgentAlone', with: 'call', bar: '6' },
  { name: 'callByHand', with: 'call', bar: undefined },
  { name: 'callTower', with: 'call', bar: undefined },
];
/** Of either side; the other one is neither traced nor in the figures. */
const RPC: readonly Comparison[] = [
  { name: 'rpcAgain', with: 'rpc', bar: undefined },
  { name: 'rpcBare', with: 'rpc', bar: undefined },
  { name: 'rpcAgent', with: 'rpc', bar: '5' },
  { name: 'rpcByHand', with: 'rpc', bar: undefined },
  { name: 'rpcCallAgain', with: 'rpcCall', bar: undefined },
  { name: 'rpcCallBare', with: 'rpcCall', bar: undefined },
  { name: 'rpcCallAgent', with: 'rpcCall', bar: '10' },
  { name: 'rpcCallAgentAlone', with: 'rpcCall', bar: '7' },
  { name: 'rpcCallByHand', with: 'rpcCall', bar: undefined },
];

const SDK: readonly VariantName[] = ['byHand', 'tower', 'axumTracing'];
const TRACED: readonly VariantName[] = [
  ...(['axumAgent', 'hyperAgent', 'hyperTlsAgent', 'tlsAgent', 'callAgent'] as const),
  ...(['rpcAgent', 'rpcCallAgent'] as const),
];
const JUDGED: readonly VariantName[] = ['callAgent', 'callByHand', 'callTower'];

export function reportText(results: Results): string {
  return [
    heading('Target'),
    targetTable(results.rounds, COMPARISONS),
    cheapestSdk(results.rounds),
    heading('One call downstream in each request'),
    targetTable(results.rounds, CALLS),
    edgesTable(results.rounds),
    heading('gRPC, one unary call a request'),
    targetTable(results.rounds, RPC),
    heading('In units of bare hooks'),
    yardstickTable(results.rounds),
    heading('Agent'),
    agentTable(results.rounds),
    feedText(results.feeds),
    heading('Start'),
    timeTable('ready after, ms', results.starts),
    `At rest the agent takes ${show(
      results.starts.flatMap(({ restMb }) => restMb),
      0,
    )} MB.`,
    timeTable('analysis alone, ms', results.analyses),
  ].join('\n\n');
}

function pick<T>(rounds: readonly Round[], name: VariantName, value: (sample: Sample) => T | undefined): T[] {
  const values = rounds.map((round) => round[name] && value(round[name]));
  return values.filter((found) => found !== undefined);
}

/** One value for each round that has both. */
function compare(
  rounds: readonly Round[],
  { name, with: base }: Pick<Comparison, 'name' | 'with'>,
  value: (own: Sample, other: Sample) => number,
): number[] {
  return rounds.flatMap((round) => {
    const own = round[name];
    const other = round[base];
    return own && other ? [value(own, other)] : [];
  });
}

const addedCpu = (rounds: readonly Round[], pair: Pick<Comparison, 'name' | 'with'>) =>
  compare(rounds, pair, (own, other) => own.targetCpu - other.targetCpu);

function targetTable(rounds: readonly Round[], comparisons: readonly Comparison[]): string {
  const rows = comparisons.map((comparison): Row => {
    const { name, with: base, bar } = comparison;
    return [
      VARIANTS[name],
      show(pick(rounds, base, (sample) => sample.targetCpu)),
      show(addedCpu(rounds, comparison)),
      bar ?? '',
      show(compare(rounds, comparison, (own, other) => own.requestsPerSecond / other.requestsPerSecond)),
      show(
        pick(rounds, name, (sample) => 100 * sample.spansShare),
        1,
      ),
    ];
  });
  const columns = [
    'target',
    'CPU µs a request without',
    'added',
    'bar',
    'requests/s, ratio',
    'spans exported, %',
  ];
  return table(columns, rows);
}

/**
 * With bare hooks, and with an agent; and what prototypes of the same hooks cost where the bar was set, as far as that was
 * measured: the socket tier, with axum's route, the library tier with it.
 */
const YARDSTICKS: readonly (readonly [bare: VariantName, agent: VariantName, there?: number])[] = [
  ['hyperBare', 'hyperAgent', 0.85],
  ['axumBare', 'axumAgent', 1.9],
  ['tlsBare', 'tlsAgent', 2.4],
  ['callBare', 'callAgentAlone'],
  ['rpcBare', 'rpcAgent'],
  ['rpcCallBare', 'rpcCallAgentAlone'],
];

function yardstickTable(rounds: readonly Round[]): string {
  const compared = [...COMPARISONS, ...CALLS, ...RPC];
  const rows = YARDSTICKS.flatMap(([bare, agent, there]): Row[] => {
    const comparison = compared.find(({ name }) => name === agent);
    if (!comparison) return [];
    const { with: base, bar = '' } = comparison;
    const own = spread(addedCpu(rounds, { name: bare, with: base })).median;
    const ours = spread(addedCpu(rounds, comparison)).median;
    const ratio = there === undefined ? undefined : Number(bar) / there;
    return [
      [
        ...[VARIANTS[agent], own.toFixed(2), ours.toFixed(2), (ours / own).toFixed(2)],
        ...[ratio?.toFixed(2) ?? '', bar, ratio === undefined ? '' : (ratio * own).toFixed(2)],
      ],
    ];
  });
  const columns = [
    'target',
    'bare hooks, µs',
    'agent, µs',
    'ratio',
    'ratio of the bar',
    'bar',
    'bar on this machine',
  ];
  return table(columns, rows);
}

/** All rounds together. */
function edgesTable(rounds: readonly Round[]): string {
  const rows = JUDGED.map((name): Row => {
    const edges = pick(rounds, name, (sample) => sample.edges);
    const sum = (kind: keyof Edges) => `${edges.reduce((total, each) => total + each[kind], 0)}`;
    return [VARIANTS[name], sum('right'), sum('wrong'), sum('unknown'), sum('lost'), sum('missing')];
  });
  const columns = ['client spans', 'right parent', 'wrong', 'unknown', 'parent lost', 'calls without span'];
  return table(columns, rows);
}

function cheapestSdk(rounds: readonly Round[]): string {
  const ours = spread(addedCpu(rounds, { name: 'axumAgent', with: 'axum' })).median;
  const costs = SDK.map((name) => ({ name, cost: spread(addedCpu(rounds, { name, with: 'axum' })).median }));
  const [cheapest] = costs.sort((a, b) => a.cost - b.cost);
  if (!cheapest) return '';
  const ratio = (ours / cheapest.cost).toFixed(2);
  return `The cheapest SDK in the process is *${VARIANTS[cheapest.name]}* with ${cheapest.cost.toFixed(2)} µs; the agent with routes adds ${ours.toFixed(2)} µs to the same program: ${ratio} of it.`;
}

function agentTable(rounds: readonly Round[]): string {
  const rows = TRACED.map((name): Row => {
    const lost = rounds.flatMap((round) => round[name]?.agent?.report.lost || []);
    return [
      VARIANTS[name],
      show(pick(rounds, name, ({ agent, spansPerRequest }) => agent && agent.cpu / spansPerRequest)),
      show(
        pick(rounds, name, ({ requestsPerSecond, spansPerRequest }) => requestsPerSecond * spansPerRequest),
        0,
      ),
      show(
        pick(rounds, name, ({ agent }) => agent?.loadMb),
        0,
      ),
      lost.length === 0 ? 'none' : lost.join('; '),
    ];
  });
  return table(['traced', 'agent CPU µs a span', 'spans/s', 'resident MB', 'lost'], rows);
}

function feedText(feeds: readonly FeedResult[]): string {
  const each = (value: (feed: FeedResult) => number) => feeds.map(value);
  const lost = each((feed) => feed.lost).reduce((sum, count) => sum + count, 0);
  return [
    'Made-up records through decoder, spans and export, as fast as one CPU can:',
    `${show(each((feed) => feed.cpuMicroseconds / feed.spans))} µs a span (bar 5),`,
    `${show(
      each((feed) => feed.spans / feed.seconds),
      0,
    )} spans/s (bar 100,000),`,
    `${lost} lost, at most ${show(
      each((feed) => feed.peakMb),
      0,
    )} MB resident (bar 200).`,
  ].join('\n');
}

function timeTable(what: string, times: readonly (StartTime | AnalysisTime)[]): string {
  const rows = times.map(({ name, megabytes, cold, warm }): Row => {
    return [name, megabytes.toFixed(1), show(cold, 0), show(warm, 0)];
  });
  return table(['program', 'MB', `${what}: file unknown`, 'facts cached'], rows);
}
