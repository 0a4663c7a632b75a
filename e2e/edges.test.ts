import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Tier } from './support/agent.ts';
import { EDGES, type Edge, type EdgeSpan } from './support/edges.ts';
import type { Span } from './support/otlp.ts';
import { RawClient } from './support/raw-client.ts';
import { Session } from './support/session.ts';
import type { Program, Target } from './support/target.ts';

interface Case {
  readonly program: Program;
  readonly tls?: boolean;
  readonly tier: Tier;
}

const CASES: readonly Case[] = [
  { program: 'axum08', tier: 'socket' },
  { program: 'axum08', tier: 'library' },
  { program: 'axum08', tls: true, tier: 'auto' },
  { program: 'hyper014', tier: 'socket' },
  { program: 'hyper014', tier: 'library' },
  { program: 'actix4', tier: 'auto' },
  { program: 'stdhttp', tier: 'auto' },
];

for (const { program, tls = false, tier } of CASES) {
  test(`unusual requests: ${program}${tls ? ' over TLS' : ''}, tier ${tier}`, async (t) => {
    const edges = EDGES.filter((edge) => !edge.not?.includes(program));
    using session = await Session.start({ program, tls }, { tier });
    const failures = await talkAll(edges, session.target);
    const spans = await session.finish();
    const claimed = new Set<Span>();
    for (const edge of edges) {
      await t.test(edge.name, () => {
        assert.equal(failures.get(edge), undefined, 'the exchange itself failed');
        for (const wanted of edge.spans) checkSpan(spans, wanted, claimed);
      });
    }
    await t.test('no other span', () => {
      const rest = spans.filter((span) => !claimed.has(span));
      assert.deepEqual(
        rest.map((span) => `${span.name} ${span.attributes['url.path']}`),
        [],
      );
    });
  });
}

async function talkAll(edges: readonly Edge[], target: Target): Promise<ReadonlyMap<Edge, unknown>> {
  const failures = new Map<Edge, unknown>();
  for (const edge of edges) {
    using client = await RawClient.open(target);
    await edge.talk(client).catch((error: unknown) => failures.set(edge, error));
  }
  return failures;
}

function checkSpan(spans: readonly Span[], wanted: EdgeSpan, claimed: Set<Span>): void {
  const own = spans.filter((span) => isSpanOf(String(span.attributes['url.path']), wanted));
  assert.equal(own.length, 1, `${own.length} spans have the path ${wanted.path.slice(0, 80)}`);
  const [span] = own as [Span];
  claimed.add(span);
  for (const [key, value] of Object.entries(wanted.attributes ?? {})) {
    assert.deepEqual(span.attributes[key], value, key);
  }
  for (const key of wanted.absent ?? []) assert.equal(span.attributes[key], undefined, key);
  if (wanted.parent !== undefined) {
    assert.equal(span.parentSpanId === '' ? '' : `${span.traceId}-${span.parentSpanId}`, wanted.parent);
  }
  if (wanted.traceState !== undefined) assert.equal(span.traceState, wanted.traceState);
  const answered = span.attributes['http.response.status_code'] !== undefined;
  if (wanted.anyEnd)
    assert.ok(answered || span.attributes['otel_rust.end_reason'], 'it does not say how it ended');
  else assert.ok(answered, 'it has no status');
}

const LEAST_CAPTURED = 1000;

function isSpanOf(path: string, wanted: EdgeSpan): boolean {
  return wanted.cut ? path.length >= LEAST_CAPTURED && wanted.path.startsWith(path) : path === wanted.path;
}
