import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { agentCommand, startAgent } from './support/agent.ts';
import { certificate, certificateKey } from './support/built.ts';
import { Collector, type CollectorOptions } from './support/collector.ts';
import { assertSpansMatch, loadProblems, report, requestId } from './support/compare.ts';
import { runLoad } from './support/load.ts';
import { pause } from './support/raw-client.ts';
import { Scratch } from './support/scratch.ts';
import { Session } from './support/session.ts';
import { copyProgram, startTarget } from './support/target.ts';

interface Case {
  readonly name: string;
  readonly protocol: 'grpc' | 'http/protobuf' | 'http/json';
  readonly tls?: NonNullable<CollectorOptions['tls']>;
  readonly env?: Readonly<Record<string, string>>;
}

const CASES: readonly Case[] = [
  { name: 'http/protobuf', protocol: 'http/protobuf' },
  { name: 'http/json', protocol: 'http/json' },
  { name: 'grpc', protocol: 'grpc' },
  {
    name: 'http/protobuf, gzip',
    protocol: 'http/protobuf',
    env: { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' },
  },
  { name: 'grpc, gzip', protocol: 'grpc', env: { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' } },
  { name: 'http/protobuf over TLS', protocol: 'http/protobuf', tls: 'server' },
  { name: 'grpc over TLS', protocol: 'grpc', tls: 'server' },
  { name: 'http/protobuf with a client certificate', protocol: 'http/protobuf', tls: 'mutual' },
  { name: 'grpc with a client certificate', protocol: 'grpc', tls: 'mutual' },
];

const SECURITY = {
  none: {},
  server: { OTEL_EXPORTER_OTLP_CERTIFICATE: certificate },
  mutual: {
    OTEL_EXPORTER_OTLP_CERTIFICATE: certificate,
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: certificate,
    OTEL_EXPORTER_OTLP_CLIENT_KEY: certificateKey,
  },
} as const;

for (const { name, protocol, tls = 'none', env } of CASES) {
  test(`export: ${name}`, async () => {
    using scratch = new Scratch();
    using collector = await Collector.start(scratch, { tls });
    const executable = copyProgram(scratch, 'axum08');
    using target = await startTarget(executable, { program: 'axum08' });
    using agent = await startAgent(['--exe', executable], {
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_ENDPOINT: protocol === 'grpc' ? collector.grpcEndpoint : collector.httpEndpoint,
      ...SECURITY[tls],
      ...env,
    });
    const records = await runLoad(target, { count: 1000 });
    await agent.stop();
    assertSpansMatch(await collector.finish(), records, target);
  });
}

test('the collector is gone for a while: the target is not disturbed, drops are counted, spans flow again', async () => {
  const env = { OTEL_BSP_MAX_QUEUE_SIZE: '512', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '128' };
  using session = await Session.start({ program: 'axum08' }, { env });
  const { agent, collector, target } = session;
  await collector.stop();
  const unheard = await runLoad(target, { count: 5000, prefix: 'unheard' });
  report(loadProblems(unheard, target));
  await agent.child.waitFor('stderr', /lost: .*[1-9]/, 15_000);
  assert.ok(residentMiB(agent.child.pid) < 200, `${residentMiB(agent.child.pid)} MiB resident`);
  await collector.resume();
  await pause(6_000);
  const records = await runLoad(target, { count: 300, concurrency: 4, prefix: 'after' });
  const spans = (await session.finish()).filter((span) => requestId(span).startsWith('after'));
  assertSpansMatch(spans, records, target);
});

function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024;
}

test('the resource says which program it is', async () => {
  using session = await Session.start(
    { program: 'axum08' },
    { env: { OTEL_RESOURCE_ATTRIBUTES: 'a=b%20c' } },
  );
  await runLoad(session.target, { count: 10, only: ['users'], concurrency: 1 });
  const [span] = await session.finish();
  const { resource } = span ?? assert.fail('no span');
  assert.equal(resource['service.name'], 'axum08');
  assert.equal(resource['process.pid'], session.target.child.pid);
  assert.equal(resource['process.executable.path'], session.target.executable);
  assert.equal(resource['process.runtime.name'], 'rustc');
  assert.match(String(resource['process.runtime.version']), /^1\.\d+\.\d+/);
  assert.equal(resource['telemetry.sdk.language'], 'rust');
  assert.equal(resource['telemetry.distro.name'], 'otel-rust-agent');
  assert.equal(resource.a, 'b c');
});

test('headers that are asked for become attributes', async () => {
  const env = {
    OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS: 'User-Agent,x-absent',
    OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_RESPONSE_HEADERS: 'x-route',
  };
  using session = await Session.start({ program: 'axum08' }, { env });
  const records = await runLoad(session.target, { count: 40, only: ['users'], concurrency: 1 });
  const agents = new Map(records.map((record) => [record.id, record.userAgent]));
  const spans = await session.finish();
  assert.equal(spans.length, records.length);
  for (const span of spans) {
    const userAgent = agents.get(requestId(span));
    assert.deepEqual(
      span.attributes['http.request.header.user-agent'],
      userAgent === null ? undefined : [userAgent],
    );
    assert.equal(span.attributes['http.request.header.x-absent'], undefined);
    assert.deepEqual(span.attributes['http.response.header.x-route'], ['/users/{id}']);
  }
});

const SAMPLERS = [
  { env: { OTEL_TRACES_SAMPLER: 'always_off' }, least: 0, most: 0 },
  { env: { OTEL_TRACES_SAMPLER: 'always_on' }, least: 2000, most: 2000 },
  // Half of 2,000 with a standard deviation of 22: ± 200 is nine of them.
  {
    env: { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' },
    least: 800,
    most: 1200,
  },
  {
    env: { OTEL_TRACES_SAMPLER: 'parentbased_always_off' },
    // A fifth of the requests has a sampled parent.
    least: 250,
    most: 550,
  },
] as const;

for (const { env, least, most } of SAMPLERS) {
  test(`sampler ${Object.values(env).join(' ')}`, async () => {
    using session = await Session.start({ program: 'hyper1' }, { env });
    await runLoad(session.target, { count: 2000, only: ['users', 'items'] });
    const count = (await session.finish()).length;
    assert.ok(count >= least && count <= most, `${count} spans of 2000 requests`);
  });
}

test('the console exporter prints a line a span', async () => {
  using scratch = new Scratch();
  const executable = copyProgram(scratch, 'axum08');
  using target = await startTarget(executable, { program: 'axum08' });
  using agent = agentCommand(['run', '--exe', executable, '--exporter', 'console']);
  await agent.waitFor('stderr', /\bready\b/);
  await runLoad(target, { count: 20, only: ['users'], concurrency: 1 });
  const { code } = await agent.stop();
  assert.equal(code, 0, agent.stderr);
  const lines = agent.stdout.split('\n').filter((line) => line.includes('GET /users/{id}'));
  assert.equal(lines.length, 20, agent.stdout);
});
