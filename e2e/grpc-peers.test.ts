import assert from 'node:assert/strict';
import { test } from 'node:test';
import { idOf } from './support/grpc-compare.ts';
import type { GrpcLoad, GrpcRecord } from './support/grpc-load.ts';
import { GrpcSession } from './support/grpc-session.ts';
import type { Span } from './support/otlp.ts';

const METHODS = ['unary', 'down', 'up', 'both'];
const of = (deed: string) => METHODS.map((method) => `${method}.${deed}`);

/** grpc-go's server tells its own status of a call whose caller has left, its client its own deadline. */
const SERVED: readonly GrpcLoad[] = [
  { kinds: of('ok'), count: 10_000 },
  { kinds: [...of('status'), 'down.late', 'both.late'], count: 6_000 },
  { kinds: of('cancel'), count: 2_000 },
  { kinds: ['down.leave', 'both.leave'], count: 2_000 },
  { kinds: of('deadline'), count: 2_000 },
  { kinds: of('panic'), count: 800 },
];

const CALLED: readonly GrpcLoad[] = [
  { kinds: ['one', 'join', 'spawn', 'streams'].map((shape) => `unary.call:${shape}`), count: 10_000 },
  { kinds: ['unary.call:status', 'unary.call:late'], count: 6_000 },
  { kinds: ['select', 'timeout', 'leave', 'deadline'].map((shape) => `unary.call:${shape}`), count: 2_000 },
];

for (const program of ['grpc14', 'grpc12', 'grpc10'] as const) {
  test(`${program} is called by grpc-go`, async (t) => {
    using session = await GrpcSession.start({ program, driver: 'grpcgo', called: program });
    await compare(t, session, SERVED);
  });

  test(`${program} calls grpc-go`, async (t) => {
    using session = await GrpcSession.start({ program, called: 'grpcgo' });
    await compare(t, session, CALLED);
  });
}

async function compare(
  t: { diagnostic: (text: string) => void },
  session: GrpcSession,
  runs: readonly GrpcLoad[],
): Promise<void> {
  const records: GrpcRecord[] = [];
  for (const [index, run] of runs.entries())
    records.push(...(await session.runLoad({ ...run, prefix: `r${index}` })));
  const spans = await session.finish();
  const edges = session.compare(spans, records);
  const told = toldRight(session, spans);
  t.diagnostic(`${records.length} requests, edges ${JSON.stringify(edges)}; ${told} contexts arrived`);
}

/** How many calls the called server has told the context of; fails when one isn't that of its CLIENT span. */
function toldRight(session: GrpcSession, spans: readonly Span[]): number {
  const clients = new Map(spans.filter(({ kind }) => kind === 3).map((span) => [idOf(span), span]));
  const contextOf = (id: string) => {
    const span = clients.get(id);
    return span && `00-${span.traceId}-${span.spanId}-01`;
  };
  const wrong = session.told.filter(([id, context]) => context !== contextOf(id));
  assert.deepEqual(
    wrong.slice(0, 5),
    [],
    `${wrong.length} of ${session.told.length} contexts are not their call's`,
  );
  return session.told.length;
}
