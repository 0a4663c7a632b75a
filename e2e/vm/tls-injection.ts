import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startAgent } from '../support/agent.ts';
import { Collector } from '../support/collector.ts';
import { type LoadRecord, runLoad } from '../support/load.ts';
import { carriedProblems, type Received, Receiver } from '../support/receiver.ts';
import { Scratch } from '../support/scratch.ts';
import { copyProgram, startTarget, type Target } from '../support/target.ts';

/** With extra headers, several at a time, bodies up to 64 KiB. */
const SHAPES = ['one', 'seq', 'join', 'headers', 'post'];
/** … that one of them makes, at least. */
const CALLS = 1.5;

/** Requests over rustls. `client12` has hyper 1, `client11` hyper 0.14. */
const CLIENTS = [
  { program: 'client12', requests: 5_000 },
  { program: 'client11', requests: 500 },
] as const;

interface Asked {
  readonly records: readonly LoadRecord[];
  readonly received: readonly Received[];
  /** The agent, on stderr. */
  readonly said: string;
}

async function ask(
  targets: readonly Target[],
  receiver: Receiver,
  flags: readonly string[],
  env: Record<string, string>,
): Promise<Asked> {
  receiver.received.length = 0;
  const exes = targets.flatMap(({ executable }) => ['--exe', executable]);
  using agent = await startAgent([...exes, ...flags], env);
  const records: LoadRecord[] = [];
  for (const [index, target] of targets.entries()) {
    const count = Math.ceil((CLIENTS[index]?.requests ?? 0) / CALLS);
    records.push(
      ...(await runLoad(target, { shapes: SHAPES, count, concurrency: 16, prefix: `t${index}-` })),
    );
  }
  await agent.stop();
  return { records, received: [...receiver.received], said: agent.child.stderr };
}

test('with trace context written into them, requests over rustls are answered as without', async (t) => {
  using scratch = new Scratch();
  using receiver = await Receiver.start({ tls: true });
  using collector = await Collector.start(scratch);
  const targets = await Promise.all(
    CLIENTS.map(({ program }) =>
      startTarget(copyProgram(scratch, program), { program, args: ['--downstream', receiver.base] }),
    ),
  );
  t.after(() => {
    for (const target of targets) target[Symbol.dispose]();
  });
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.httpEndpoint };
  const on = await ask(targets, receiver, ['--inject-tls'], endpoint);
  const spans = await collector.finish();
  const off = await ask(targets, receiver, ['--exporter', 'none'], {});
  assert.ok(on.received.length >= 5_500, `${on.received.length} requests`);
  assert.deepEqual(answers(on), answers(off));
  assert.equal(off.received.length, on.received.length);
  assert.deepEqual(off.received.filter(hasContext), []);
  const carried = on.received.filter(hasContext);
  const problems = carriedProblems(spans, carried).filter((problem) => !/^spans: /.test(problem));
  assert.deepEqual(problems.slice(0, 6), [], on.said);
  const left = Number(/lost: .*traceparent: memory not writable (\d+)/.exec(lastLine(on))?.[1] ?? 0);
  assert.equal(carried.length + left, on.received.length, on.said);
  assert.ok(left < on.received.length / 20, on.said);
  t.diagnostic(
    `${on.received.length} of ${off.received.length} requests answered alike, ${carried.length} with the context of their CLIENT spans, ${left} counted`,
  );
});

const hasContext = ({ traceparents }: Received) => traceparents.length > 0;
const lastLine = ({ said }: Asked) => said.trim().split('\n').at(-1) ?? '';
const answers = ({ records }: Asked) =>
  records.map(({ id, status, answer, error }) => JSON.stringify({ id, status, answer, error })).sort();
