// npm run bench: see docs/bench.md. Started by scripts/bench.mjs, which builds what is needed.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Child } from './child.ts';
import type { FeedResult } from './feed.ts';
import type { LoadSize } from './load.ts';
import { replaceResults } from './markdown.ts';
import { OTHER_CPU, type Places, SERVER_CPU } from './places.ts';
import { type Results, reportText } from './report.ts';
import { Sink } from './sink.ts';
import { analysisTimes, startTimes } from './start-time.ts';
import { type Round, runRound } from './target-cost.ts';

interface Size {
  readonly rounds: number;
  readonly load: LoadSize;
  readonly feedSpans: number;
  readonly startRounds: number;
}

const FULL: Size = {
  rounds: 5,
  load: { requests: 200_000, warmUp: 50_000, connections: 32 },
  feedSpans: 1_000_000,
  startRounds: 5,
};
const QUICK: Size = {
  rounds: 1,
  load: { requests: 50_000, warmUp: 20_000, connections: 32 },
  feedSpans: 300_000,
  startRounds: 1,
};

/** dist/bench/ is two folders below. */
const root = fileURLToPath(new URL('../..', import.meta.url));
const say = (text: string) => void process.stderr.write(`bench: ${text}\n`);

function pinItself(): void {
  if (cpus().length < 2)
    throw new Error('Cannot measure: the server and the load need a CPU each, found one');
  const { status } = spawnSync('taskset', ['-a', '-c', '-p', `${OTHER_CPU}`, `${process.pid}`], {
    stdio: 'ignore',
  });
  if (status !== 0) throw new Error('Cannot measure: taskset (util-linux) failed');
}

async function feed(sink: Sink, spans: number): Promise<FeedResult> {
  const program = fileURLToPath(new URL('feed.js', import.meta.url));
  using child = new Child(process.execPath, [
    program,
    `http://127.0.0.1:${sink.port}`,
    `${spans}`,
    `${spans / 4}`,
  ]);
  const [line] = await child.waitFor(/^\{.*\}$/m);
  await child.end();
  return JSON.parse(line) as FeedResult;
}

/** The sink on the other CPU, so that the feed has one for itself. */
async function feeds(programs: string, size: Size): Promise<FeedResult[]> {
  using sink = await Sink.start(programs, SERVER_CPU);
  const results: FeedResult[] = [];
  for (let round = 0; round < size.rounds; round++) results.push(await feed(sink, size.feedSpans));
  return results;
}

async function measureAll(size: Size, places: Omit<Places, 'sinkPort'>): Promise<Results> {
  using counting = await Sink.start(places.programs, OTHER_CPU);
  using keeping = await Sink.start(places.programs, OTHER_CPU, 'edges');
  const all = { ...places, sinkPort: counting.port };
  const rounds: Round[] = [];
  for (let index = 0; index < size.rounds; index++) {
    say(`round ${index + 1} of ${size.rounds}`);
    rounds.push(await runRound({ places: all, load: size.load }, { counting, keeping }, index, say));
  }
  say('feed');
  const feedResults = await feeds(places.programs, size);
  say('start');
  const starts = await startTimes(all, size.startRounds);
  const analyses = await analysisTimes(all, size.startRounds);
  return { rounds, feeds: feedResults, starts, analyses };
}

function machine(size: Size, agentCpu: number): string {
  const [cpu] = cpus();
  const { requests, connections } = size.load;
  const load = `${size.rounds} rounds of ${requests} requests on ${connections} connections, agent on CPU ${agentCpu}`;
  return `${cpu?.model ?? 'unknown CPU'}, ${cpus().length} CPUs, Linux ${release()}, Node ${process.versions.node}; ${load}; median (least … most).`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      fixtures: { type: 'string', default: '' },
      programs: { type: 'string', default: '' },
      'debug-server': { type: 'string', default: '' },
      quick: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      json: { type: 'string' },
      rounds: { type: 'string' },
      'agent-cpu': { type: 'string', default: `${OTHER_CPU}` },
    },
  });
  pinItself();
  const preset = values.quick ? QUICK : FULL;
  const size = { ...preset, rounds: Number(values.rounds ?? preset.rounds) };
  const agentCpu = Number(values['agent-cpu']);
  const cache = mkdtempSync(join(tmpdir(), 'otel-rust-bench-'));
  try {
    const agent = join(root, 'bin', 'otel-rust-agent');
    const { fixtures, programs, 'debug-server': debugServer } = values;
    const results = await measureAll(size, { agent, fixtures, programs, debugServer, cache, agentCpu });
    const text = `${machine(size, agentCpu)}\n\n${reportText(results)}`;
    console.log(text);
    if (values.json) writeFileSync(values.json, JSON.stringify(results, undefined, 1));
    const document = join(root, 'docs', 'bench.md');
    if (values.write) writeFileSync(document, replaceResults(readFileSync(document, 'utf8'), text));
  } finally {
    rmSync(cache, { recursive: true, force: true });
  }
}

await main();
