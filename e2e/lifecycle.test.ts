import assert from 'node:assert/strict';
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { agentCommand, startAgent } from './support/agent.ts';
import { fixture } from './support/built.ts';
import { Collector, freePort } from './support/collector.ts';
import { assertSpansMatch, loadProblems, report, requestId, spanProblems } from './support/compare.ts';
import { finishLoad, runLoad, startLoad } from './support/load.ts';
import type { Span } from './support/otlp.ts';
import { pause, RawClient } from './support/raw-client.ts';
import { Scratch } from './support/scratch.ts';
import { Session } from './support/session.ts';
import { copyProgram, startTarget, targetArguments } from './support/target.ts';

/** A new file is analysed before it is traced: half a second on a machine that has nothing else to do. */
const ATTACH_MS = 2_000;

test('a program that starts later, restarts, and is rebuilt at the same path is picked up each time', async () => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  const executable = copyProgram(scratch, 'axum08');
  using agent = await startAgent(['--exe', executable], endpointOf(collector));
  const problems: string[] = [];
  const runs: [Awaited<ReturnType<typeof runLoad>>, Awaited<ReturnType<typeof startTarget>>][] = [];
  for (const prefix of ['first', 'again', 'rebuilt']) {
    if (prefix === 'rebuilt') renameSync(copyAside(scratch), executable);
    using target = await startTarget(executable, { program: 'axum08' });
    await pause(ATTACH_MS);
    runs.push([await runLoad(target, { count: 300, prefix, concurrency: 4 }), target]);
    await target.child.stop();
  }
  await agent.stop();
  const spans = await collector.finish();
  for (const [records, target] of runs) {
    const prefix = /^[a-z]+/.exec(records[0]?.id ?? '')?.[0] ?? '?';
    const own = spans.filter((span) => requestId(span).startsWith(prefix));
    problems.push(...loadProblems(records, target), ...spanProblems(own, records, target));
  }
  report(problems);
});

test('a program that is overwritten in place is another one: it runs, and is traced as what it is', async () => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  const executable = copyProgram(scratch, 'axum08');
  const { ino } = statSync(executable);
  using agent = await startAgent(['--exe', executable], endpointOf(collector));
  const runs: [Awaited<ReturnType<typeof runLoad>>, Awaited<ReturnType<typeof startTarget>>][] = [];
  for (const program of ['axum08', 'axum06', 'hyper1'] as const) {
    if (program !== 'axum08') writeFileSync(executable, readFileSync(fixture(program)));
    assert.equal(statSync(executable).ino, ino);
    using target = await startTarget(executable, { program });
    await pause(ATTACH_MS);
    runs.push([await runLoad(target, { count: 300, prefix: program, concurrency: 4 }), target]);
    await target.child.stop();
  }
  await agent.stop();
  const spans = await collector.finish();
  for (const [records, target] of runs) {
    const own = spans.filter((span) => requestId(span).startsWith(target.options.program));
    assertSpansMatch(own, records, target);
  }
  assert.match(agent.child.stderr, /is overwritten: it is analysed again when it is started/);
});

/** The same program as another file: another inode, as after a build. */
function copyAside(scratch: Scratch): string {
  const path = scratch.file('axum08.new');
  renameSync(copyProgram(scratch, 'axum08'), path);
  return path;
}

test('a program started by the agent is traced from its first request', async () => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  const executable = copyProgram(scratch, 'hyper1');
  const options = { program: 'hyper1', port: await freePort() } as const;
  const command = ['run', '--', executable, ...targetArguments(options)];
  using agent = agentCommand(command, { env: endpointOf(collector) });
  await agent.waitFor('stdout', /^listening \d+ pid \d+\n/m);
  const target = {
    ...options,
    child: agent,
    options,
    executable,
    host: '127.0.0.1',
    [Symbol.dispose]: () => {},
  };
  const records = await runLoad(target, { count: 500, concurrency: 4 });
  const { code } = await agent.stop();
  assert.equal(code, 0, agent.stderr);
  assertSpansMatch(await collector.finish(), records, target);
});

test('--pid traces that process and not its twin', async () => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  const executable = copyProgram(scratch, 'axum08');
  using target = await startTarget(executable, { program: 'axum08' });
  using twin = await startTarget(executable, { program: 'axum08' });
  using agent = await startAgent(['--pid', `${target.child.pid}`], endpointOf(collector));
  const records = await runLoad(target, { count: 500, concurrency: 4 });
  await runLoad(twin, { count: 500, concurrency: 4, prefix: 'twin' });
  await agent.stop();
  assertSpansMatch(await collector.finish(), records, target);
});

test('two programs at once: each span has the resource of its own process', async () => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  const [axum, hyper] = [copyProgram(scratch, 'axum08'), copyProgram(scratch, 'hyper014')];
  using first = await startTarget(axum, { program: 'axum08' });
  using second = await startTarget(hyper, { program: 'hyper014' });
  using agent = await startAgent(['--exe', axum, '--exe', hyper], endpointOf(collector));
  const loads = [
    runLoad(first, { count: 1000, concurrency: 8, prefix: 'axum' }),
    runLoad(second, { count: 1000, concurrency: 8, prefix: 'hyper' }),
  ] as const;
  const [axumRecords, hyperRecords] = await Promise.all(loads);
  await agent.stop();
  const spans = await collector.finish();
  const of = (pid: number) => spans.filter((span) => span.resource['process.pid'] === pid);
  assert.equal(of(first.child.pid).length + of(second.child.pid).length, spans.length);
  assertSpansMatch(of(first.child.pid), axumRecords, first);
  assertSpansMatch(of(second.child.pid), hyperRecords, second);
});

test('kill -9 of the agent under load: no request fails, and a new agent attaches', async () => {
  using session = await Session.start({ program: 'axum08' });
  using load = startLoad(session.target, { count: 1_000_000, durationMs: 3_000, concurrency: 16 });
  await pause(1_000);
  await session.agent.child.stop('SIGKILL');
  await pause(500);
  const env = endpointOf(session.collector);
  using successor = await startAgent(['--exe', session.target.executable], env);
  const disturbed = await finishLoad(load);
  assert.ok(disturbed.length > 1000, `only ${disturbed.length} requests were made`);
  report(loadProblems(disturbed, session.target));
  const records = await runLoad(session.target, { count: 1000, prefix: 'after', concurrency: 8 });
  await successor.stop();
  const spans = (await session.collector.finish()).filter((span) => requestId(span).startsWith('after'));
  assertSpansMatch(spans, records, session.target);
});

test('a target that is killed: its open request ends as an error', async () => {
  using session = await Session.start({ program: 'axum08' });
  using client = await RawClient.open(session.target);
  await client.write('GET /hang/killed HTTP/1.1\r\nHost: localhost:80\r\n\r\n');
  await pause(200);
  await session.target.child.stop('SIGKILL');
  await pause(200);
  const span = await onlySpan(session, 'killed');
  assert.equal(span.attributes['error.type'], 'process_exit');
  assert.equal(span.statusCode, 2);
});

for (const [tls, warm] of [
  [false, true],
  [false, false],
  [true, true],
  [true, false],
] as const) {
  const where = `${warm ? 'a used' : 'a new'} connection${tls ? ' over TLS' : ''}`;
  test(`a reset that comes before the server has read the request ends its span: ${where}`, async () => {
    using session = await Session.start({ program: 'hyper1', tls });
    using client = await RawClient.open(session.target);
    if (warm) {
      await client.write('GET /users/first HTTP/1.1\r\nHost: localhost:80\r\n\r\n');
      await client.answer();
    }
    await pause(50);
    session.target.child.process.kill('SIGSTOP');
    await client.write('GET /hang/reset HTTP/1.1\r\nHost: localhost:80\r\n\r\n');
    client.reset();
    await pause(50);
    session.target.child.process.kill('SIGCONT');
    await pause(200);
    const spans = await session.finish();
    assert.deepEqual(spans.map(requestId).sort(), warm ? ['first', 'reset'] : ['reset']);
    const span = spans.find((candidate) => requestId(candidate) === 'reset');
    assert.equal(span?.attributes['otel_rust.end_reason'], 'connection_closed');
  });
}

test('an agent that is stopped ends the requests that are open', async () => {
  using session = await Session.start({ program: 'hyper1' });
  using client = await RawClient.open(session.target);
  await client.write('GET /hang/open HTTP/1.1\r\nHost: localhost:80\r\n\r\n');
  await pause(200);
  const span = await onlySpan(session, 'open');
  // The request may well succeed afterwards: that it wasn't followed is no error.
  assert.equal(span.attributes['otel_rust.end_reason'], 'agent_stopped');
  assert.equal(span.attributes['error.type'], undefined);
  assert.equal(span.statusCode, 0);
});

async function onlySpan(session: Session, id: string): Promise<Span> {
  const spans = await session.finish();
  assert.deepEqual(spans.map(requestId), [id]);
  const [span] = spans as [Span];
  assert.equal(span.attributes['http.response.status_code'], undefined);
  return span;
}

const endpointOf = (collector: Collector) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.httpEndpoint });
