import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { startAgent } from './support/agent.ts';
import { CallSession } from './support/call-session.ts';
import { QUICK } from './support/calls.ts';
import { loadProblems, report, requestId, spanProblems } from './support/compare.ts';
import { GrpcSession } from './support/grpc-session.ts';
import { finishLoad, type LoadRecord, runLoad, startStreamLoad } from './support/load.ts';
import type { Span } from './support/otlp.ts';
import { pause } from './support/raw-client.ts';
import { Session } from './support/session.ts';

const REQUESTS = 10_000;
const SERVERS = ['h2axum08', 'h2axum06'] as const;
const CLIENTS = ['client12h2', 'client11h2'] as const;

for (const program of SERVERS) {
  for (const options of [{}, { tls: true }, { runtime: 'current' as const }]) {
    const how = Object.entries(options).map(([key, value]) => `, ${key} ${value}`);
    test(`${program}${how.join('')}: one right span a request of HTTP/2`, async () => {
      using session = await Session.start({ program, ...options });
      using load = startStreamLoad(session.target, { count: REQUESTS });
      await session.assertSpansMatch(await finishLoad(load));
    });
  }
}

for (const program of SERVERS) {
  test(`${program} without symbols: one right span a request of HTTP/2`, async () => {
    using session = await Session.start({ program, tls: true, profile: 'release-stripped' });
    using load = startStreamLoad(session.target, { count: 3_000 });
    await session.assertSpansMatch(await finishLoad(load));
  });
}

/** After `ready`, in which the first events may still be of probes that came one after another. */
const ATTACHED_NS = 200_000_000n;

for (const program of SERVERS) {
  test(`${program}, attached to connections in use: right from then on`, async () => {
    using session = await Session.start({ program });
    await session.agent.stop();
    using load = startStreamLoad(session.target, { count: 1_000_000, durationMs: 6_000, concurrency: 32 });
    await pause(1_000);
    const { executable } = session.target;
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: session.collector.httpEndpoint };
    using agent = await startAgent(['--exe', executable], env);
    const readyNs = BigInt(Date.now()) * 1_000_000n + ATTACHED_NS;
    const records = await finishLoad(load);
    await pause(300);
    await agent.stop();
    const spans = await session.collector.finish();
    const after = records.filter((record) => BigInt(record.startNs) > readyNs);
    assert.ok(after.length > 1_000, `only ${after.length} requests after the agent was ready`);
    const ids = new Set(after.map((record) => record.id));
    const late = spans.filter((span) => ids.has(requestId(span)));
    report([...loadProblems(after, session.target), ...spanProblems(late, after, session.target)]);
  });
}

async function compareCalls(t: TestContext, session: CallSession, runs: readonly Run[]): Promise<void> {
  const records: LoadRecord[] = [];
  for (const { shapes, count, concurrency = 256 } of runs) {
    const prefix = shapes.length === 1 ? `${shapes[0]}` : 'mixed';
    records.push(...(await runLoad(session.target, { shapes, count, concurrency, prefix })));
  }
  await pause(300);
  const edges = await session.assertTree(records, { version: '2' });
  t.diagnostic(`${records.length} requests, edges ${JSON.stringify(edges)}`);
}

interface Run {
  readonly shapes: readonly string[];
  readonly count: number;
  readonly concurrency?: number;
}

/** Not `select`: it resets streams before the server has accepted them, for which h2 closes the connection. */
const ENDS: readonly Run[] = [
  { shapes: ['status'], count: 2_000 },
  { shapes: ['redirect'], count: 2_000 },
  // Of several calls at once one connects; the others are told that it failed, and nothing tells us how.
  { shapes: ['refused'], count: 300, concurrency: 1 },
  { shapes: ['timeout'], count: 400, concurrency: 128 },
  { shapes: ['reqtimeout'], count: 400, concurrency: 128 },
];

for (const program of CLIENTS) {
  for (const https of [false, true]) {
    const name = `${program}${https ? ', https' : ''}`;
    test(`${name}: every HTTP/2 call under its request`, async (t) => {
      using session = await CallSession.start({ program, https });
      await compareCalls(t, session, [{ shapes: QUICK, count: REQUESTS }]);
    });
    test(`${name}: HTTP/2 calls without a good answer end as they ended`, async (t) => {
      using session = await CallSession.start({ program, https });
      // The server refuses streams when so many are cancelled; hyper 0.14 sends those again, as spans of their own.
      const select = program === 'client12h2' ? [{ shapes: ['select'], count: 2_000 }] : [];
      await compareCalls(t, session, [...ENDS, ...select]);
    });
  }
}

for (const program of CLIENTS) {
  for (const profile of ['release-stripped', 'fat-lto-stripped'] as const) {
    const build = profile === 'fat-lto-stripped' ? ', fat LTO' : '';
    test(`${program}${build} without symbols: every HTTP/2 call under its request`, async (t) => {
      using session = await CallSession.start({ program, https: true, profile });
      const ends = [{ shapes: ['status'], count: 500 }];
      await compareCalls(t, session, [{ shapes: QUICK, count: 3_000 }, ...ends]);
    });
  }
}

const isRpc = (span: Span) => span.attributes['rpc.system.name'] !== undefined;

test('axumgrpc14: gRPC and HTTP/2 on one port, each as what it is', async (t) => {
  using session = await GrpcSession.start({ program: 'axumgrpc14', driver: 'grpc14' });
  using load = startStreamLoad(session.target, { count: REQUESTS, only: ['users', 'status'], prefix: 'h' });
  const kinds = [
    'unary.ok',
    'down.ok',
    'both.status',
    'unary.call:one',
    'unary.call:join',
    'both.call:message',
  ];
  const calls = await session.runLoad({ kinds, count: REQUESTS, prefix: 'g' });
  const requests = await finishLoad(load);
  const spans = await session.finish();
  const edges = session.compare(spans.filter(isRpc), calls);
  const http = spans.filter((span) => !isRpc(span));
  report([...loadProblems(requests, session.target), ...spanProblems(http, requests, session.target)]);
  t.diagnostic(`${calls.length} calls, ${requests.length} requests, edges ${JSON.stringify(edges)}`);
});
