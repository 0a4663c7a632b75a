import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ClientSpans } from './client-spans.ts';
import type { SpanRecord } from './span.ts';
import {
  call,
  closed,
  ended,
  GET,
  response,
  SECOND,
  startClient,
  wire,
  written,
} from './test-support/client-events.ts';

type Step = (client: ClientSpans) => void;

/** The span ids of a call's attempts, by which its spans are recognised. */
const spanId = (number: number, attempt: number) => number * 10 + attempt;
const MOVED = 'HTTP/1.1 302 Found\r\nLocation: /items?id=1\r\n\r\n';

/** The life of one call with `attempts` attempts, in the order the kernel side tells it. */
function lifeOfCall(
  number: number,
  attempts: number,
  end: 'response' | 'end' | 'both',
  withHead: boolean,
): Step[] {
  const steps: Step[] = [(client) => client.call(call({ connection: number, spanId1: spanId(number, 0) }))];
  for (let attempt = 0; attempt < attempts; attempt++) {
    const head = withHead ? GET : '';
    const more = { connection: number + attempt, socket: number, spanId1: spanId(number, attempt), head };
    steps.push((client) => client.request(written({ ...more, resend: attempt > 0 })));
    steps.push((client) => client.closed(closed({ connection: number + attempt, call: number })));
  }
  if (end !== 'end') steps.push((client) => client.response(response(302, { call: number, head: MOVED })));
  if (end !== 'response')
    steps.push((client) => client.callEnd(ended({ connection: number, written: true })));
  return steps;
}

function lifeOfWire(connection: number, answered: boolean): Step[] {
  const id = { connection, spanId1: spanId(connection, 0) };
  return [
    (client) => client.request(wire(id)),
    ...(answered ? [(client: ClientSpans) => client.response(response(200, { connection, call: 0 }))] : []),
    (client) => client.closed(closed({ connection, call: 0 })),
  ];
}

const life = fc.oneof(
  fc.tuple(fc.integer({ min: 0, max: 3 }), fc.constantFrom('response', 'end', 'both'), fc.boolean()),
  fc.tuple(fc.boolean()),
);

const everywhere: Step[] = [
  (client) => client.processEnded(1, 7 * SECOND),
  (client) => client.processEnded(2, 7 * SECOND),
  (client) => client.expire(63 * SECOND),
  (client) => client.expire(8 * SECOND),
];

/** Steps of all lives, some lost, in order or shuffled. The ring tells none twice. */
const history = fc
  .tuple(fc.array(life, { maxLength: 6 }), fc.boolean(), fc.infiniteStream(fc.integer({ min: 0, max: 9 })))
  .map(([lives, shuffled, random]) => {
    const draw = () => random.next().value as number;
    const steps = lives.flatMap((parts, i) => {
      const number = 100 * (i + 1);
      return parts.length === 3 ? lifeOfCall(number, ...parts) : lifeOfWire(number, parts[0]);
    });
    const told = [...steps, ...everywhere].filter(() => draw() > 1);
    const keyed = told.map((step, i) => ({ step, key: shuffled ? draw() * 1000 + draw() : i }));
    return keyed.sort((a, b) => a.key - b.key).map(({ step }) => step);
  });

const idOf = (span: SpanRecord) => span.spanId1;

test('any order and loss: no exception, no span twice, nothing left', () => {
  fc.assert(
    fc.property(history, (steps) => {
      const { client, spans } = startClient();
      for (const step of steps) step(client);
      client.stop(90 * SECOND);
      assert.equal(client.openCount, 0);
      const calls = spans.filter((span) => span.scope.name === 'reqwest').map(idOf);
      assert.equal(new Set(calls).size, calls.length);
      for (const span of spans) assert(span.endUnixSeconds >= span.startUnixSeconds);
    }),
    { numRuns: 2000 },
  );
});

test('nothing lost, in order: a span an attempt, and one a request on the wire', () => {
  fc.assert(
    fc.property(fc.array(life, { maxLength: 6 }), (lives) => {
      const { client, spans } = startClient();
      const expected = lives.flatMap((parts, i) => {
        const number = 100 * (i + 1);
        const attempts = parts.length === 3 ? Math.max(1, parts[0]) : 1;
        const steps = parts.length === 3 ? lifeOfCall(number, ...parts) : lifeOfWire(number, parts[0]);
        for (const step of steps) step(client);
        client.expire(7 * SECOND);
        return Array.from({ length: attempts }, (_, attempt) => spanId(number, attempt));
      });
      assert.equal(client.openCount, 0);
      assert.deepEqual(spans.map(idOf), expected);
      const lost = Object.values(client.losses).reduce((sum, count) => sum + count, 0);
      assert.equal(lost, 0);
    }),
  );
});
