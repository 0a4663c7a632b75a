import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startAgent } from './support/agent.ts';
import { CallSession } from './support/call-session.ts';
import { isBackground, ofKind } from './support/call-tree.ts';
import { QUICK } from './support/calls.ts';
import { finishLoad, type LoadRecord, runLoad, startLoad } from './support/load.ts';
import { pause } from './support/raw-client.ts';
import type { SessionOptions } from './support/session.ts';
import type { TargetOptions } from './support/target.ts';

const REQUESTS = 10_000;
const CONCURRENCY = 256;
/** Calls that outlive their request make the last ones a little later. */
const LATER_MS = 300;

interface Run {
  readonly shapes: readonly string[];
  readonly count: number;
  readonly concurrency?: number;
}

/** Loads one after another, then the comparison of all spans with all requests. */
async function compareRuns(t: TestContext, session: CallSession, runs: readonly Run[]): Promise<void> {
  const records: LoadRecord[] = [];
  for (const { shapes, count, concurrency = CONCURRENCY } of runs) {
    const prefix = shapes.length === 1 ? `${shapes[0]}` : 'mixed';
    records.push(...(await runLoad(session.target, { shapes, count, concurrency, prefix })));
  }
  await pause(LATER_MS);
  const edges = await session.assertTree(records);
  t.diagnostic(`${records.length} requests, edges ${JSON.stringify(edges)}`);
}

// In fives, so that what the Collector writes fits in memory.
const GROUPS = [0, 5, 10].map((first) => QUICK.slice(first, first + 5));

for (const program of ['client12', 'client13', 'client11'] as const) {
  for (const shapes of GROUPS) {
    test(`${program}, ${shapes.join(', ')}: every call under its request`, async (t) => {
      using session = await CallSession.start({ program });
      const runs = shapes.map((shape) => ({ shapes: [shape], count: REQUESTS }));
      await compareRuns(t, session, runs);
    });
  }
}

interface Mixed extends TargetOptions {
  readonly https?: boolean;
  readonly tier?: NonNullable<SessionOptions['tier']>;
}

const TWINS = [...QUICK, 'twin', 'shareduri'];

const MIXED: readonly Mixed[] = [
  { program: 'client12', workers: 8 },
  { program: 'client12', runtime: 'current' },
  { program: 'client12', runtime: 'local' },
  { program: 'client12', runtime: 'two' },
  { program: 'client12', https: true },
  { program: 'client12', tier: 'library' },
  { program: 'client13', runtime: 'current' },
  { program: 'client13', https: true },
  { program: 'client11', runtime: 'current' },
  { program: 'client11', runtime: 'two' },
  { program: 'client11', https: true },
  { program: 'client11', tier: 'library' },
  { program: 'client128' },
  { program: 'client128', runtime: 'current' },
  { program: 'client128', https: true },
  { program: 'clienthyper1' },
  { program: 'clienthyper1', runtime: 'local', https: true },
  { program: 'clienthyper014' },
  { program: 'clienthyper014', runtime: 'two' },
  { program: 'client12', profile: 'release-stripped' },
  { program: 'client12', profile: 'release-stripped', https: true },
  { program: 'client13', profile: 'release-stripped', runtime: 'current' },
  { program: 'client11', profile: 'release-stripped' },
  { program: 'client11', profile: 'release-stripped', https: true },
  { program: 'clienthyper1', profile: 'release-stripped' },
  { program: 'clienthyper014', profile: 'release-stripped' },
  { program: 'client12', profile: 'fat-lto', https: true },
  { program: 'client12', profile: 'fat-lto-stripped' },
  { program: 'client12', profile: 'fat-lto-stripped', https: true },
  { program: 'client11', profile: 'fat-lto-stripped' },
  { program: 'client11', profile: 'fat-lto-stripped', https: true },
  { program: 'client12', profile: 'opt-s-stripped' },
  { program: 'client12', profile: 'opt-s-stripped', https: true },
  { program: 'client11', profile: 'opt-s-stripped' },
];

const BUILDS = { 'fat-lto': 'fat LTO, ', 'opt-s': 'for size, ', release: '' } as const;

for (const { tier, ...options } of MIXED) {
  const { program, https, profile, runtime = 'multi', workers = 2 } = options;
  const build = BUILDS[(profile ?? 'release').replace(/-stripped$/, '') as keyof typeof BUILDS];
  const how = `${profile?.endsWith('-stripped') ? 'without symbols, ' : ''}${build}${https ? 'https, ' : ''}${runtime} runtime, ${workers} workers, tier ${tier ?? 'auto'}`;
  test(`${program}, ${how}: every call of mixed shapes under its request`, async (t) => {
    using session = await CallSession.start(options, tier ? { tier } : {});
    const shapes = program.startsWith('clienthyper') ? TWINS : QUICK;
    await compareRuns(t, session, [{ shapes, count: REQUESTS }]);
  });
}

const FAILING: readonly Run[] = [
  { shapes: ['status'], count: 2_000 },
  { shapes: ['select'], count: 2_000 },
  { shapes: ['refused'], count: 5_000 },
  { shapes: ['reset', 'close'], count: 1_000 },
  { shapes: ['last'], count: 1_000 },
  { shapes: ['stale'], count: 1_000 },
  { shapes: ['timeout'], count: 400, concurrency: 128 },
  { shapes: ['connecttimeout'], count: 300, concurrency: 128 },
  { shapes: ['dns'], count: 300, concurrency: 16 },
];

/** What only reqwest has. */
const REQWEST: readonly Run[] = [
  { shapes: ['redirect'], count: 3_000 },
  { shapes: ['reqtimeout'], count: 400, concurrency: 128 },
];

const ENDS: readonly Mixed[] = [
  ...(['client12', 'client13', 'client11'] as const).flatMap((program) =>
    [false, true].map((https) => ({ program, https })),
  ),
  { program: 'client128' },
  { program: 'clienthyper1' },
  { program: 'clienthyper014' },
  { program: 'client12', profile: 'opt-s-stripped' },
];

for (const { program, https = false, profile = 'release' } of ENDS) {
  const build = profile === 'release' ? '' : `, ${profile}`;
  test(`${program}${build}${https ? ', https' : ''}: calls without a good answer end as they ended`, async (t) => {
    const hyper = program.startsWith('clienthyper');
    // With TLS on both sides the handshake succeeds; hyper 0.14 alone has none.
    const tls = https || program === 'clienthyper014' ? [] : [{ shapes: ['tlsfail'], count: 500 }];
    using session = await CallSession.start({ program, https, profile });
    await compareRuns(t, session, [...FAILING, ...(hyper ? [] : REQWEST), ...tls]);
  });
}

interface Blocking {
  readonly server: 'std' | 'axum';
  readonly client: 'ureq' | 'reqwest';
  readonly https?: boolean;
}

const BLOCKING: readonly Blocking[] = [
  { server: 'std', client: 'ureq' },
  { server: 'std', client: 'reqwest' },
  { server: 'axum', client: 'ureq' },
  { server: 'axum', client: 'reqwest' },
  { server: 'axum', client: 'reqwest', https: true },
];

for (const { server, client, https = false } of BLOCKING) {
  test(`blocking ${client} in ${server}${https ? ', https' : ''}: every call under its request`, async () => {
    const args = ['--server', server, '--client', client];
    using session = await CallSession.start({ program: 'clientblocking', args, https });
    const shapes = ['one', 'seq', 'post', 'status', 'last', 'reset', 'thread'];
    const records = await runLoad(session.target, { shapes, count: REQUESTS, concurrency: 64 });
    await session.assertTree(records, { parentless: ['thread'], wireOnly: client === 'ureq' });
  });
}

for (const program of ['client12', 'client11'] as const) {
  for (const https of [false, true]) {
    test(`${program}${https ? ', https' : ''}: calls of no request have no parent`, async () => {
      using session = await CallSession.start({ program, https, args: ['--background'] });
      const records = await runLoad(session.target, { shapes: QUICK, count: 3_000, concurrency: 64 });
      await pause(LATER_MS);
      const spans = await session.session.finish();
      session.compare(spans, records);
      const numbers = ofKind(spans, 3)
        .filter(isBackground)
        .map(numberOf)
        .sort((a, b) => a - b);
      assert.ok(numbers.length > 50, `only ${numbers.length} background calls`);
      const [first = 0] = numbers;
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => first + index),
        'one span a background call',
      );
    });
  }
}

const numberOf = (span: { attributes: Readonly<Record<string, unknown>> }) =>
  Number(/background-(\d+)/.exec(String(span.attributes['url.full']))?.[1]);

for (const [program, https] of [
  ['client12', false],
  ['client12', true],
  ['client11', false],
] as const) {
  test(`${program}${https ? ', https' : ''}, attached in the middle of load: no wrong edge`, async (t) => {
    using session = await CallSession.start({ program, https });
    await session.session.agent.stop();
    using load = startLoad(session.target, {
      ...{ shapes: QUICK, count: 1_000_000, durationMs: 7_000, concurrency: 64, prefix: 'before' },
    });
    await pause(1_000);
    const { executable } = session.target;
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: session.session.collector.httpEndpoint };
    using agent = await startAgent(['--exe', executable], env);
    const disturbed = await finishLoad(load);
    const after = await runLoad(session.target, { shapes: QUICK, count: 2_000, prefix: 'after' });
    await pause(LATER_MS);
    await agent.stop();
    const spans = await session.session.collector.finish();
    const late = spans.filter((span) => isOf(span, 'after'));
    session.compare(late, after);
    const early = spans.filter((span) => isOf(span, 'before'));
    assert.ok(early.length > 1_000, `only ${early.length} spans of the load`);
    const edges = session.compare(early, disturbed, { partial: true });
    t.diagnostic(`${disturbed.length} requests, edges ${JSON.stringify(edges)}`);
  });
}

const isOf = (span: { attributes: Readonly<Record<string, unknown>> }, prefix: string) =>
  new RegExp(`/${prefix}\\d+-`).test(String(span.attributes['url.full'] ?? span.attributes['url.path']));
