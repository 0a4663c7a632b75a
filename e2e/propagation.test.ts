import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startAgent } from './support/agent.ts';
import { assertCalled } from './support/called.ts';
import { Collector } from './support/collector.ts';
import { finishLoad, runLoad, startLoad } from './support/load.ts';
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
  assert.doesNotMatch(said, /lost:.*traceparent/);
  t.diagnostic(`${receiver.received.length} requests, each with the context of its CLIENT span`);
}

const MIXED: Run = { shapes: SHAPES, count: 5_000 };
const UPLOADS: Run = { shapes: ['upload', 'post'], count: 400, concurrency: 16 };

for (const program of ['client12', 'client11', 'client13', 'clienthyper1', 'clienthyper014'] as const) {
  test(`${program}: the called service gets the context of each call, and every byte of it`, (t) =>
    check(t, { program, runs: [MIXED, UPLOADS] }));
}

/** So many at once that h2 puts more than 32 KiB of header frames into one write. */
const BATCHES: Run = { shapes: ['headers'], count: 10_000 };

for (const program of ['client12h2', 'client11h2'] as const) {
  test(`${program}: over HTTP/2, too`, (t) => check(t, { program, runs: [MIXED, BATCHES, UPLOADS] }));
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

test('agents that come and go under load, one by kill -9: no request fails, no header stays', async (t) => {
  using scratch = new Scratch();
  const receiver = await Receiver.start();
  t.after(() => receiver[Symbol.dispose]());
  const executable = copyProgram(scratch, 'client12');
  using target = await startTarget(executable, {
    program: 'client12',
    args: ['--downstream', receiver.base],
  });
  const start = () => startAgent(['--exe', executable, '--exporter', 'none'], {});
  const shapes = ['one', 'join', 'post'];
  using running = startLoad(target, { shapes, count: 1_000_000, durationMs: 9_000, concurrency: 32 });
  await pause(500);
  using killed = await start();
  await pause(1_000);
  await killed.child.stop('SIGKILL');
  using second = await start();
  await pause(1_000);
  await second.stop();
  const records = await finishLoad(running);
  assert.deepEqual(records.filter(({ error, status }) => error !== null || status !== 200).slice(0, 3), []);
  const { received } = receiver;
  assert.deepEqual(
    received.filter(({ bodyIsWhole, traceparents }) => !bodyIsWhole || traceparents.length > 1),
    [],
  );
  const carried = received.filter(({ traceparents }) => traceparents.length === 1).length;
  assert.ok(carried > 1_000 && carried < received.length, `${carried} of ${received.length}`);
  received.length = 0;
  await load(target, { shapes, count: 100 });
  assert.ok(received.length > 100);
  assert.deepEqual(
    received.filter(({ traceparents }) => traceparents.length > 0),
    [],
  );
  t.diagnostic(`${carried} of the requests had a header`);
});

const STATE = `rojo=00f067aa0ba902b7,congo=${'t61rcWkgMzE'.repeat(12)}`;

for (const program of ['client12', 'client12h2', 'client11h2'] as const) {
  test(`${program}: tracestate of the request goes to the services it calls`, async (t) => {
    using scratch = new Scratch();
    const receiver = await Receiver.start({ h2: program.endsWith('h2') });
    t.after(() => receiver[Symbol.dispose]());
    const executable = copyProgram(scratch, program);
    using target = await startTarget(executable, { program, args: ['--downstream', receiver.base] });
    using agent = await startAgent(['--exe', executable, '--exporter', 'none'], {});
    const traceparent = `00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01`;
    for (let n = 0; n < 20; n++)
      await fetch(`http://127.0.0.1:${target.port}/seq/x${n}`, {
        headers: { traceparent, tracestate: STATE },
      });
    await agent.stop();
    assert.equal(receiver.received.length, 40);
    for (const { traceparents, traceStates } of receiver.received) {
      assert.equal(traceparents[0]?.slice(3, 35), traceparent.slice(3, 35));
      assert.deepEqual(traceStates, [STATE]);
    }
  });
}

const INCOMING = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00' };

test('what is not sampled is told to the next service, and OTEL_PROPAGATORS=none tells nothing', async (t) => {
  const ask = async (env: Readonly<Record<string, string>>) => {
    using scratch = new Scratch();
    using receiver = await Receiver.start();
    const executable = copyProgram(scratch, 'client12');
    using target = await startTarget(executable, {
      program: 'client12',
      args: ['--downstream', receiver.base],
    });
    using agent = await startAgent(['--exe', executable, '--exporter', 'none'], env);
    await fetch(`http://127.0.0.1:${target.port}/one/x`, { headers: INCOMING });
    await agent.stop();
    return receiver.received.flatMap(({ traceparents }) => traceparents);
  };
  const [unsampled = '', ...more] = await ask({});
  assert.deepEqual(more, []);
  assert.match(unsampled, /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-00$/);
  assert.deepEqual(await ask({ OTEL_PROPAGATORS: 'none' }), []);
  assert.match((await ask({ OTEL_TRACES_SAMPLER: 'always_on' }))[0] ?? '', /-01$/);
  t.diagnostic(unsampled);
});

/** Three services in a row; the ids are in the query that the first one's call adds. */
test('three services in a row: one trace, each under the call that was made to it', async (t) => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  const programs = { last: 'axum08', middle: 'client11', first: 'client12' } as const;
  const executable = (name: keyof typeof programs) => copyProgram(scratch, programs[name]);
  using last = await startTarget(executable('last'), { program: programs.last });
  const base = (target: Target, path: string) => ['--downstream', `http://127.0.0.1:${target.port}${path}`];
  using middle = await startTarget(executable('middle'), { program: programs.middle, args: base(last, '') });
  const args = base(middle, '/join/x?');
  using first = await startTarget(executable('first'), { program: programs.first, args });
  const targets = { last, middle, first };
  const exes = Object.values(targets).flatMap((target) => ['--exe', target.executable]);
  using agent = await startAgent(exes, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.httpEndpoint });
  await load(first, { shapes: ['one', 'seq', 'join', 'spawn'], count: 3_000, concurrency: 32 });
  await pause(LATER_MS);
  await agent.stop();
  const spans = await collector.finish();
  const of = (name: keyof typeof programs, kind: number) =>
    spans.filter((span) => span.kind === kind && span.resource['process.pid'] === targets[name].child.pid);
  let edges = 0;
  for (const [called, caller] of [
    ['last', 'middle'],
    ['middle', 'first'],
  ] as const) {
    assertCalled(of(called, 2), of(caller, 3), agent);
    edges += of(called, 2).length;
  }
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, of('first', 2).length);
  t.diagnostic(`${edges} edges between services, all right`);
});

const CALL_ID = 'rpc.request.metadata.x-id';

/** The id in a request's path is in its call's metadata. */
test('axum, axum, tonic: one trace from HTTP to gRPC, each under the call that was made to it', async (t) => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  const executable = (program: Program) => copyProgram(scratch, program);
  const start = (program: Program, called?: Target) =>
    startTarget(executable(program), {
      program,
      args: called ? ['--downstream', `http://127.0.0.1:${called.port}`] : [],
    });
  using last = await start('grpc14');
  using middle = await start('axumgrpc14', last);
  using first = await start('client12', middle);
  const targets = { last, middle, first };
  const exes = Object.values(targets).flatMap((target) => ['--exe', target.executable]);
  using agent = await startAgent(exes, {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.httpEndpoint,
    OTEL_INSTRUMENTATION_GRPC_CAPTURE_METADATA_SERVER_REQUEST: 'x-id',
    OTEL_INSTRUMENTATION_GRPC_CAPTURE_METADATA_CLIENT_REQUEST: 'x-id',
  });
  await load(first, { shapes: ['one', 'seq', 'join', 'spawn'], count: 5_000, concurrency: 32 });
  await pause(LATER_MS);
  await agent.stop();
  const spans = await collector.finish();
  const of = (name: keyof typeof targets, kind: number) =>
    spans.filter((span) => span.kind === kind && span.resource['process.pid'] === targets[name].child.pid);
  assertCalled(of('middle', 2), of('first', 3), agent);
  assertUnder(of('middle', 3), of('middle', 2), (call, request) =>
    String(call.attributes[CALL_ID]).startsWith(`${String(request.attributes['url.path']).slice(3)}/`),
  );
  const idOf = ({ attributes }: Span) => String(attributes[CALL_ID]);
  assertUnder(of('last', 2), of('middle', 3), (served, call) => idOf(served) === idOf(call));
  assert.equal(of('last', 2).length, of('first', 3).length);
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, of('first', 2).length);
  t.diagnostic(`${of('last', 2).length} calls arrive at the third service, each in its request's trace`);
});

/** Fails unless each span is under one of the parents, in its trace, that it belongs to, and each parent has one. */
function assertUnder(
  spans: readonly Span[],
  parents: readonly Span[],
  belongs: (span: Span, parent: Span) => boolean,
): void {
  const byId = new Map(parents.map((span) => [span.spanId, span]));
  const wrong = spans.filter((span) => {
    const parent = byId.get(span.parentSpanId);
    return !parent || parent.traceId !== span.traceId || !belongs(span, parent);
  });
  assert.deepEqual(wrong.slice(0, 3), [], `${wrong.length} of ${spans.length} are wrong`);
  assert.equal(new Set(spans.map(({ parentSpanId }) => parentSpanId)).size, parents.length);
}
