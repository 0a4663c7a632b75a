import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { idOf, isBackgroundCall } from './support/grpc-compare.ts';
import { finishGrpcLoad, type GrpcLoad, type GrpcRecord } from './support/grpc-load.ts';
import { type GrpcOptions, GrpcSession } from './support/grpc-session.ts';
import type { Span } from './support/otlp.ts';
import { pause } from './support/raw-client.ts';

const CALLS = 10_000;
const PROGRAMS = ['grpc14', 'grpc12', 'grpc10'] as const;

async function compareRuns(t: TestContext, session: GrpcSession, runs: readonly GrpcLoad[]): Promise<void> {
  const records: GrpcRecord[] = [];
  for (const [index, run] of runs.entries())
    records.push(...(await session.runLoad({ prefix: `r${index}`, ...run })));
  const edges = session.compare(await session.finish(), records);
  t.diagnostic(`${records.length} requests, edges ${JSON.stringify(edges)}`);
}

const each = (kinds: readonly string[], count = CALLS) => kinds.map((kind) => ({ kinds: [kind], count }));
const calling = (...shapes: readonly string[]) => shapes.map((shape) => `unary.call:${shape}`);

const PLAIN = ['unary.ok', 'down.ok', 'up.ok', 'both.ok'];
const METHODS = ['unary', 'down', 'up', 'both'];
const GROUPS: readonly (readonly GrpcLoad[])[] = [
  each(PLAIN),
  each(calling('one', 'seq', 'join', 'spawn', 'prespawn')),
  each(calling('nested', 'streams', 'metadata', 'interceptor')),
  [
    ...each(['down.call:message', 'up.call:message', 'both.call:message']),
    ...each(calling('lazy', 'balanced'), 2_000),
  ],
];

for (const program of PROGRAMS) {
  for (const runs of GROUPS) {
    const kinds = runs.flatMap((run) => run.kinds).join(', ');
    test(`${program}, ${kinds}: every call has its span, every edge is right`, async (t) => {
      using session = await GrpcSession.start({ program });
      await compareRuns(t, session, runs);
    });
  }
}

const QUICK = [
  ...PLAIN,
  ...calling('one', 'seq', 'join', 'spawn', 'prespawn', 'nested', 'streams', 'metadata', 'interceptor'),
  ...['down.call:message', 'up.call:message', 'both.call:message'],
];

const BAD_ENDS: readonly GrpcLoad[] = [
  ...['status', 'panic'].map((end) => ({
    kinds: METHODS.map((method) => `${method}.${end}`),
    count: 400,
  })),
  ...each(calling('status', 'late', 'panic', 'deadline', 'leave', 'refused'), 400),
];

const MIXED: readonly GrpcOptions[] = PROGRAMS.flatMap((program): readonly GrpcOptions[] => [
  { program, traceDownstream: true },
  { program, runtime: 'current' },
  { program, tls: true, traceDownstream: true },
]);

for (const options of MIXED) {
  const { program, runtime = 'multi', tls, traceDownstream } = options;
  const how = `${tls ? 'TLS' : 'plaintext'}, ${runtime} runtime${traceDownstream ? ', both sides' : ''}`;
  test(`${program}, ${how}: mixed calls`, async (t) => {
    using session = await GrpcSession.start(options);
    await compareRuns(t, session, [{ kinds: QUICK, count: CALLS }]);
  });
}

const STRIPPED: readonly GrpcOptions[] = [
  ...PROGRAMS.flatMap((program) =>
    [false, true].map((tls) => ({ program, tls, profile: 'release-stripped' as const })),
  ),
  ...(['grpc14', 'grpc10'] as const).map((program) => ({ program, profile: 'opt-s-stripped' as const })),
];

for (const options of STRIPPED) {
  const { program, tls, profile } = options;
  test(`${program}${tls ? ', TLS' : ''}, ${profile}: mixed calls, and calls that end badly`, async (t) => {
    using session = await GrpcSession.start({ ...options, traceDownstream: true });
    await compareRuns(t, session, [{ kinds: QUICK, count: 3_000 }, ...BAD_ENDS]);
  });
}

/** A handler that panics ends such a program; of calls that reach no connection only symbols tell when they end. */
const WITHOUT_PANICS: readonly GrpcLoad[] = [
  { kinds: [...METHODS.map((method) => `${method}.status`), 'down.late', 'both.late'], count: 2_000 },
  { kinds: METHODS.map((method) => `${method}.cancel`), count: 1_000 },
  { kinds: ['down.leave', 'both.leave'], count: 1_000 },
  { kinds: METHODS.map((method) => `${method}.deadline`), count: 1_000 },
  ...each(calling('status', 'late', 'select', 'timeout', 'leave', 'deadline'), 500),
];

for (const program of ['grpc14', 'grpc10'] as const) {
  for (const tls of [false, true]) {
    test(`${program}${tls ? ', TLS' : ''}, fat LTO without symbols: mixed calls, and calls that end badly`, async (t) => {
      using session = await GrpcSession.start({
        program,
        tls,
        profile: 'fat-lto-stripped',
        traceDownstream: true,
      });
      await compareRuns(t, session, [{ kinds: QUICK, count: 3_000 }, ...WITHOUT_PANICS]);
    });
  }
}

const ENDS: readonly GrpcLoad[] = [
  { kinds: [...METHODS.map((method) => `${method}.status`), 'down.late', 'both.late'], count: 6_000 },
  { kinds: METHODS.map((method) => `${method}.panic`), count: 800 },
  { kinds: METHODS.map((method) => `${method}.cancel`), count: 2_000 },
  { kinds: ['down.leave', 'both.leave'], count: 2_000 },
  { kinds: METHODS.map((method) => `${method}.deadline`), count: 2_000 },
  ...each(calling('status', 'late'), 3_000),
  ...each(calling('panic', 'select', 'timeout', 'leave', 'deadline', 'refused'), 2_000),
  ...each(calling('lost'), 1_000),
];

for (const program of PROGRAMS) {
  for (const tls of [false, true]) {
    test(`${program}${tls ? ', TLS' : ''}: calls end as they ended`, async (t) => {
      using session = await GrpcSession.start({ program, tls, traceDownstream: true });
      // A refused connection is plaintext.
      await compareRuns(t, session, ENDS);
    });
  }
}

for (const program of PROGRAMS) {
  test(`${program}: calls of no request have no parent`, async () => {
    using session = await GrpcSession.start({ program, background: true });
    const records = await session.runLoad({ kinds: QUICK, count: 3_000 });
    const spans = await session.finish();
    session.compare(
      spans.filter((span) => !isBackgroundCall(span)),
      records,
    );
    const background = spans.filter(isBackgroundCall);
    assert.deepEqual(
      background.filter((span) => span.parentSpanId !== ''),
      [],
    );
    assert.ok(background.length > 50, `only ${background.length} background calls`);
    const numbers = background.map((span) => Number(/-(\d+)/.exec(idOf(span))?.[1])).sort((a, b) => a - b);
    const [first = 0] = numbers;
    const gapless = numbers.map((_, index) => first + index);
    assert.deepEqual(numbers, gapless, 'one span a background call');
  });
}

/** More than the tasks without a call after which the probes on new tasks are parked. */
const IDLE_CALLS = 105_000;

test('a server that calls nobody for long: the probes on new tasks go, and are back with its first call', async (t) => {
  using session = await GrpcSession.start({ program: 'grpc12' }); // without routes: those need the probes, too
  const idle = await session.runLoad({ kinds: ['unary.ok'], count: IDLE_CALLS, prefix: 'idle' });
  await session.hear(/the probes on new tasks are parked/);
  const waking = await session.runLoad({ kinds: calling('spawn'), count: 20, prefix: 'waking' });
  await session.hear(/the probes on new tasks are back/);
  const calls = await session.runLoad({ kinds: QUICK, count: 3_000, prefix: 'calls' });
  const spans = await session.finish();
  const isOfWaking = (span: Span) => idOf(span).startsWith('waking');
  const edges = session.compare(
    spans.filter((span) => !isOfWaking(span)),
    [...idle, ...calls],
  );
  session.compare(spans.filter(isOfWaking), waking, { partial: true });
  t.diagnostic(`${idle.length} requests without a call, then edges ${JSON.stringify(edges)}`);
});

/** After `ready`, in which the first events may still be of probes that came one after another. */
const ATTACHED_NS = 200_000_000n;

for (const program of PROGRAMS) {
  for (const tls of [false, true]) {
    test(`${program}${tls ? ', TLS' : ''}, attached to connections in use: right from then on`, async (t) => {
      using session = await GrpcSession.start({ program, tls, detached: true });
      using load = session.startLoad({ kinds: QUICK, count: 1_000_000, durationMs: 7_500, concurrency: 64 });
      await pause(1_500);
      await session.attach();
      const readyNs = BigInt(Date.now()) * 1_000_000n + ATTACHED_NS;
      const records = await finishGrpcLoad(load);
      const spans = await session.finish();
      const isAfter = (record: GrpcRecord) => BigInt(record.startNs) > readyNs;
      const after = records.filter(isAfter);
      const ids = new Set(after.map((record) => record.id));
      const isOfAfter = (id: string) => ids.has(id.split('/')[0] ?? '');
      assert.ok(after.length > 2_000, `only ${after.length} calls after the agent was ready`);
      const edges = session.compare(
        spans.filter((span) => isOfAfter(idOf(span))),
        after,
      );
      session.compare(
        spans.filter((span) => !isOfAfter(idOf(span))),
        records.filter((record) => !isAfter(record)),
        { partial: true },
      );
      t.diagnostic(`${after.length} of ${records.length} requests, edges ${JSON.stringify(edges)}`);
    });
  }
}
