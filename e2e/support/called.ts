import assert from 'node:assert/strict';
import type { Agent } from './agent.ts';
import type { Span } from './otlp.ts';

/** Fails unless each of the called service's SERVER spans is under the one CLIENT span that asked for its path. */
export function assertCalled(served: readonly Span[], calls: readonly Span[], agent: Agent): void {
  const byId = new Map(calls.map((span) => [span.spanId, span]));
  const wrong = served.flatMap((span) => {
    const parent = byId.get(span.parentSpanId);
    const asked = pathOf(span);
    const right = parent?.traceId === span.traceId && String(parent.attributes['url.full']).endsWith(asked);
    return right ? [] : [`${asked} under ${parent?.attributes['url.full'] ?? span.parentSpanId}`];
  });
  const said = agent.child.stderr.slice(-2000);
  assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${served.length} are wrong; ${said}`);
  assert.equal(served.length, calls.length);
  assert.equal(new Set(served.map(({ parentSpanId }) => parentSpanId)).size, served.length);
}

function pathOf({ attributes }: Span): string {
  const query = attributes['url.query'];
  return `${attributes['url.path']}${query === undefined ? '' : `?${query}`}`;
}
