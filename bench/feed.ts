// The agent's user space without the kernel side: records → decoder → spans → OTLP, as fast as one CPU can.
//   node feed.js <otlp endpoint> <spans> <warm-up spans>
import { setTimeout as sleep } from 'node:timers/promises';
import { RingPump } from '../src/agent/reader.ts';
import { readConfig } from '../src/config.ts';
import { createDecoder } from '../src/events/events.ts';
import { createExport, type Export } from '../src/export/export.ts';
import { exportLosses } from '../src/export/stats.ts';
import { WallClock } from '../src/spans/clock.ts';
import { KNOWN_METHODS } from '../src/spans/server-attributes.ts';
import { ServerSpans } from '../src/spans/server-spans.ts';
import { FEED_PID, FeedRing } from './feed-ring.ts';
import { memoryOf } from './proc.ts';

/** What the feed prints as JSON. */
export interface FeedResult {
  readonly spans: number;
  readonly seconds: number;
  readonly cpuMicroseconds: number;
  readonly lost: number;
  readonly peakMb: number;
}

const REQUEST_TIMEOUT_NS = 15 * 60 * 1e9;
const CONTEXT = {
  process: {
    pid: FEED_PID,
    resourceAttributes: { 'service.name': 'feed', 'process.pid': FEED_PID, 'telemetry.sdk.language': 'rust' },
  },
  scope: { name: 'hyper', version: '1.12.0' },
};

const ignore = () => undefined;

function createSpans({ sink }: Export): ServerSpans {
  return new ServerSpans({
    clock: new WallClock(),
    contextOf: (pid) => (pid === FEED_PID ? CONTEXT : undefined),
    emit: sink.add,
    knownMethods: new Set(KNOWN_METHODS),
    captureRequest: undefined,
    captureResponse: undefined,
    timeoutNs: REQUEST_TIMEOUT_NS,
  });
}

function lostSoFar(spans: ServerSpans, { stats }: Export): number {
  const inside = Object.values(spans.losses).reduce((sum, count) => sum + count, 0);
  return inside + exportLosses(stats()).reduce((sum, { count }) => sum + count, 0);
}

/** Feeds `count` spans through and waits until the collector has them all. */
async function feed(output: Export, count: number): Promise<FeedResult> {
  const spans = createSpans(output);
  const unexpected = () => {
    throw new Error('Cannot feed: a record that is neither request nor response');
  };
  const decode = createDecoder({
    request: (event) => spans.request(event),
    piece: unexpected,
    headDropped: unexpected,
    response: (event) => spans.response(event),
    closed: unexpected,
    exec: unexpected,
    exit: unexpected,
    panic: unexpected,
    needed: unexpected,
    call: unexpected,
    clientRequest: unexpected,
    clientResponse: unexpected,
    clientClosed: unexpected,
    callEnd: unexpected,
    stream: unexpected,
    unknown: unexpected,
  });
  const ring = new FeedRing(count);
  const total = ring.left;
  const exportedBefore = output.stats().exported;
  const lostBefore = exportLosses(output.stats()).reduce((sum, loss) => sum + loss.count, 0);
  const start = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  using _pump = new RingPump(ring, output.sink, decode);
  const settled = () =>
    output.stats().exported - exportedBefore + lostSoFar(spans, output) - lostBefore >= total;
  while (!settled()) await sleep(20);
  const { user, system } = process.cpuUsage(cpu);
  return {
    spans: output.stats().exported - exportedBefore,
    seconds: Number(process.hrtime.bigint() - start) / 1e9,
    cpuMicroseconds: user + system,
    lost: lostSoFar(spans, output) - lostBefore,
    peakMb: memoryOf(process.pid).peakMb,
  };
}

async function main([endpoint = '', count = '', warmUp = '']: readonly string[]): Promise<void> {
  const environment = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: '200' };
  const log = { error: console.error, warn: console.error, info: ignore, debug: ignore };
  const output = await createExport(readConfig(environment, {}).config, log);
  await feed(output, Number(warmUp));
  console.log(JSON.stringify(await feed(output, Number(count))));
  await output.shutdown();
}

await main(process.argv.slice(2));
