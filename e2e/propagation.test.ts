import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startAgent } from './support/agent.ts';
import { Collector } from './support/collector.ts';
import { runLoad } from './support/load.ts';
import type { Span } from './support/otlp.ts';
import { pause } from './support/raw-client.ts';
import { carriedProblems, Receiver } from './support/receiver.ts';
import { Scratch } from './support/scratch.ts';
import { copyProgram, type Program, startTarget, type Target, type TargetOptions } from './support/target.ts';

/** Calls that outlive their request make the last ones a little later. */
const LATER_MS = 400;
const SHAPES = ['one', 'seq', 'join', 'spawn', 'nested', 'blocking', 'headers', 'later'];

interface Run {
  readonly shapes: readonly string[];
  readonly count: number;
  readonly concurrency?: number;
}

interface Case {
  readonly program: Program;
  readonly runs: readonly Run[];
  /** Before the agent, on connections that stay. */
  readonly before?: Run;
  readonly target?: Partial<TargetOptions>;
  readonly env?: Readonly<Record<string, string>>;
}

/** Spans and what the called service got, of one program under load. */
async function run(
  t: TestContext,
  options: Case,
): Promise<{ spans: Span[]; receiver: Receiver; said: string }> {
  using scratch = new Scratch();
  const receiver = await Receiver.start({ h2: options.program.endsWith('h2') });
  t.after(() => receiver[Symbol.dispose]());
  using collector = await Collector.start(scratch);
  const executable = copyProgram(scratch, options.program);
  const args = ['--downstream', receiver.base];
  using target = await startTarget(executable, { program: options.program, args, ...options.target });
  if (options.before) await load(target, options.before);
  receiver.received.length = 0;
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.httpEndpoint, ...options.env };
  using agent = await startAgent(['--exe', executable], env);
  for (const one of options.runs) await load(target, one);
  await pause(LATER_MS);
  await agent.stop();
  return { spans: await collector.finish(), receiver, said: agent.child.stderr };
}

async function load(target: Target, { shapes, count, concurrency = 64 }: Run): Promise<void> {
  const records = await runLoad(target, { shapes, count, concurrency });
  assert.deepEqual(records.filter(({ error, status }) => error !== null || status !== 200).slice(0, 3), []);
}

async function check(t: TestContext, options: Case): Promise<void> {
  const { spans, receiver, said } = await run(t, options);
  const problems = carriedProblems(spans, receiver.received);
  assert.deepEqual(problems.slice(0, 6), [], `${problems.length} problems; the agent: ${said.slice(-2000)}`);
  t.diagnostic(`${receiver.received.length} requests, each with the context of its CLIENT span`);
}

const MIXED: Run = { shapes: SHAPES, count: 5_000 };
const UPLOADS: Run = { shapes: ['upload', 'post'], count: 400, concurrency: 16 };

for (const program of ['client12', 'client11', 'client13', 'clienthyper1', 'clienthyper014'] as const) {
  test(`${program}: the called service gets the context of each call, and every byte of it`, (t) =>
    check(t, { program, runs: [MIXED, UPLOADS] }));
}

for (const program of ['client12h2', 'client11h2'] as const) {
  test(`${program}: over HTTP/2, too`, (t) => check(t, { program, runs: [MIXED, UPLOADS] }));
}

for (const program of ['client12', 'client11', 'client12h2', 'client11h2'] as const) {
  test(`${program}: connections that are older than the agent`, (t) => {
    const few: Run = { shapes: ['join'], count: 200, concurrency: 8 };
    return check(t, {
      program,
      before: few,
      runs: [{ shapes: ['one', 'join'], count: 1_000, concurrency: 8 }],
    });
  });
}
