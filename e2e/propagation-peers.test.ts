import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Agent, startAgent } from './support/agent.ts';
import { assertCalled } from './support/called.ts';
import { Child } from './support/child.ts';
import { Collector } from './support/collector.ts';
import { runLoad } from './support/load.ts';
import { startProxy } from './support/nginx.ts';
import type { Span } from './support/otlp.ts';
import { pause } from './support/raw-client.ts';
import { Scratch } from './support/scratch.ts';
import { SdkService } from './support/sdk-service.ts';
import { copyProgram, type Program, startTarget, type Target } from './support/target.ts';

const LATER_MS = 400;
const [SERVER, CLIENT] = [2, 3];
const SHAPES = ['one', 'seq', 'join', 'spawn'];

const trace = (collector: Collector, ...targets: readonly Target[]): Promise<Agent> =>
  startAgent(
    targets.flatMap(({ executable }) => ['--exe', executable]),
    { OTEL_EXPORTER_OTLP_ENDPOINT: collector.httpEndpoint },
  );

const start = (scratch: Scratch, program: Program, args: readonly string[] = []): Promise<Target> =>
  startTarget(copyProgram(scratch, program), { program, args });

const of = (spans: readonly Span[], target: Target, kind: number): readonly Span[] =>
  spans.filter((span) => span.kind === kind && span.resource['process.pid'] === target.child.pid);

test('services with the OpenTelemetry SDK, upstream and downstream: one trace', async (t) => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  using peer = await SdkService.start();
  using target = await start(scratch, 'client12', ['--downstream', peer.base]);
  using agent = await trace(collector, target);
  for (let i = 0; i < 300; i++) await peer.call(`http://127.0.0.1:${target.port}/${SHAPES[i % 4]}/sdk-${i}`);
  await pause(LATER_MS);
  await agent.stop();
  const spans = await collector.finish();
  const known = new Map(spans.map((span) => [span.spanId, span]));
  const asked = new Map(
    peer.spans.filter(({ kind }) => kind === 2).map((span) => [span.spanContext().spanId, span]),
  );
  const served = peer.spans.filter(({ kind }) => kind === 1);
  for (const span of of(spans, target, SERVER)) {
    const parent = asked.get(span.parentSpanId);
    assert.ok(parent, `${span.attributes['url.path']} has the parent ${span.parentSpanId}`);
    assert.ok(parent.name.endsWith(String(span.attributes['url.path'])), parent.name);
    assert.equal(span.traceId, parent.spanContext().traceId);
  }
  for (const span of served) {
    const parent = known.get(span.parentSpanContext?.spanId ?? '');
    assert.ok(parent, span.name);
    assert.equal(parent.kind, CLIENT, span.name);
    assert.ok(String(parent.attributes['url.full']).endsWith(span.name), span.name);
    assert.equal(span.spanContext().traceId, parent.traceId);
  }
  assert.equal(asked.size, 300);
  assert.equal(of(spans, target, SERVER).length, 300);
  assert.equal(served.length, of(spans, target, CLIENT).length);
  assert.equal(new Set([...spans.map(({ traceId }) => traceId)]).size, 300);
  t.diagnostic(`${served.length} calls of 300 requests`);
});

test('nginx between two services passes the trace on', async (t) => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  using last = await start(scratch, 'axum08');
  using proxy = await startProxy(scratch, last.port);
  using first = await start(scratch, 'client12', ['--downstream', `${proxy.base}/users/x?`]);
  using agent = await trace(collector, last, first);
  const records = await runLoad(first, { shapes: SHAPES, count: 3_000, concurrency: 32 });
  assert.deepEqual(records.filter(({ error, status }) => error !== null || status !== 200).slice(0, 3), []);
  await pause(LATER_MS);
  await agent.stop();
  const spans = await collector.finish();
  assertCalled(of(spans, last, SERVER), of(spans, first, CLIENT), agent);
  assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, of(spans, first, SERVER).length);
  t.diagnostic(`${of(spans, last, SERVER).length} edges through nginx, all right`);
});

test('a traceparent that curl sends is continued to the last service', async () => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  using last = await start(scratch, 'axum08');
  using first = await start(scratch, 'client12', ['--downstream', `http://127.0.0.1:${last.port}/users/x?`]);
  using agent = await trace(collector, last, first);
  const [traceId, parentId] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
  const header = `traceparent: 00-${traceId}-${parentId}-01`;
  using curl = new Child('curl', ['-sS', '-H', header, `http://127.0.0.1:${first.port}/join/curl`]);
  assert.equal((await curl.ended).code, 0, curl.stderr);
  await pause(LATER_MS);
  await agent.stop();
  const spans = await collector.finish();
  assert.deepEqual([...new Set(spans.map((span) => span.traceId))], [traceId]);
  assert.deepEqual(
    of(spans, first, SERVER).map(({ parentSpanId }) => parentSpanId),
    [parentId],
  );
  assert.equal(of(spans, first, CLIENT).length, 3);
  assertCalled(of(spans, last, SERVER), of(spans, first, CLIENT), agent);
});
