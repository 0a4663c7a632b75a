import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TARGET_FLAG } from '../../src/events/layout.ts';
import { parseRequestHead } from '../../src/spans/request-head.ts';
import { conversation, messages, type Step, segment, shape } from './conversation.ts';
import { type Replayed, recv, replay, send, TARGET, targetCommand, wholeHeads } from './driver.ts';
import { ConnectionModel } from './model.ts';

/** Each of up to a hundred conversations, so that one start of the driver serves many. */
const RUNS = 15;

interface Seen {
  readonly requests: string[];
  readonly statuses: number[];
}

const newSeen = (): Seen => ({ requests: [], statuses: [] });

/** Requests and answers by socket, whose peer's port names it; checks that the numbers have no gaps. */
function seenBy(result: Replayed, connections: number): Seen[] {
  const seen = Array.from({ length: connections }, newSeen);
  const sockets = new Map<number, Seen>();
  const heads = wholeHeads(result.records);
  for (const record of result.records) {
    if (record.kind === 'request') {
      const one = seen[record.event.peerPort - 40_001] ?? assert.fail(`port ${record.event.peerPort}`);
      sockets.set(record.event.connection, one);
      assert.equal(record.event.sequence, one.requests.length);
      one.requests.push((heads.get(record.event) ?? '').replace(/^[\r\n]+/, ''));
    } else if (record.kind === 'response') {
      const one = sockets.get(record.event.connection) ?? assert.fail('a response to nothing');
      assert.equal(record.event.sequence, one.statuses.length);
      one.statuses.push(record.event.status);
    }
  }
  return seen;
}

function modelOf(steps: readonly Step[], connections: number): Seen[] {
  const models = Array.from({ length: connections }, () => new ConnectionModel());
  for (const { connection, received, bytes } of steps) {
    if (received) models[connection]?.request(bytes);
    else models[connection]?.response(bytes);
  }
  return models.map(({ requests, statuses }) => ({ requests, statuses }));
}

const commandsOf = (steps: readonly Step[]): string[] => [
  TARGET,
  ...steps.map(({ connection, received, bytes, call }) =>
    (received ? recv : send)(bytes, { socket: connection + 1, call }),
  ),
];

/** The kernel side gives at most so much of a head, by whole windows, empty lines before it included; the rest is cut. */
const cutHead = (head: string, like: string) =>
  like.length >= 8192 - EMPTY_LINES ? head.slice(0, like.length) : head;
const EMPTY_LINES = 16;

function assertSame(steps: readonly Step[], result: Replayed): void {
  const seen = seenBy(result, 4);
  for (const [i, expected] of modelOf(steps, 4).entries()) {
    const actual = seen[i] ?? newSeen();
    assert.deepEqual(actual.statuses, expected.statuses);
    assert.deepEqual(
      actual.requests,
      expected.requests.map((head, n) => cutHead(head, actual.requests[n] ?? '')),
    );
  }
  const { HEAD_TRUNCATED: _, ...losses } = result.counters;
  assert.deepEqual(losses, {});
}

test('well-formed conversations, cut and interleaved at random: the same as the reference model', () => {
  fc.assert(
    fc.property(fc.array(conversation, { minLength: 1, maxLength: 60, size: 'max' }), (conversations) => {
      for (const [i, result] of replay(conversations.map(commandsOf)).entries())
        assertSame(conversations[i] ?? [], result);
    }),
    { numRuns: RUNS },
  );
});

/** Flips, drops and doubles bytes of what is received; a server's own answers are well-formed. */
const damage = fc.array(
  fc.record({
    message: fc.nat(20),
    at: fc.nat(400),
    how: fc.constantFrom('flip', 'cut', 'double', 'swap'),
    bit: fc.nat(7),
  }),
  { minLength: 1, maxLength: 3 },
);

type Damage = typeof damage extends fc.Arbitrary<readonly (infer T)[]> ? T : never;

function damaged(text: string, { at, how, bit }: Damage): string {
  const place = at % Math.max(text.length, 1);
  const before = text.slice(0, place);
  switch (how) {
    case 'flip':
      return before + String.fromCharCode(text.charCodeAt(place) ^ (1 << bit)) + text.slice(place + 1);
    case 'cut':
      return before;
    case 'double':
      return before + text.slice(Math.max(0, place - bit));
    case 'swap':
      return text.slice(place) + before;
    default:
      return assert.fail(how);
  }
}

const damagedSteps = fc.tuple(messages, damage, shape).map(([list, all, { cuts, calls }]) => {
  const result = [...list];
  for (const one of all) {
    const place = one.message % result.length;
    const [received, bytes] = result[place] ?? [true, ''];
    if (received && bytes !== '') result[place] = [received, damaged(bytes, one)];
  }
  return segment(result, cuts, calls);
});

/** What user space makes of the records, up to a head that it refuses or that is cut. */
function accepted(seen: Seen): string[] {
  const refused = seen.requests.findIndex(
    (head) => head.length >= 8192 || !parseRequestHead(head, true, undefined),
  );
  return refused < 0 ? seen.requests : seen.requests.slice(0, refused);
}

test('damaged conversations: never a request that the reference model does not see', () => {
  fc.assert(
    fc.property(fc.array(damagedSteps, { minLength: 1, maxLength: 100, size: 'max' }), (conversations) => {
      for (const [i, result] of replay(conversations.map(commandsOf)).entries()) {
        const [expected = newSeen()] = modelOf(conversations[i] ?? [], 1);
        const [actual = newSeen()] = seenBy(result, 1);
        const requests = accepted(actual);
        const known = expected.requests.slice(0, requests.length);
        assert.deepEqual(
          requests,
          known.map((head, n) => cutHead(head, requests[n] ?? '')),
        );
        const answers = actual.statuses.slice(0, requests.length);
        assert.deepEqual(answers, expected.statuses.slice(0, answers.length));
      }
    }),
    { numRuns: RUNS },
  );
});

// ---- clients: the same conversations from the other end ----

/** What marks a connection as a client's: the first bytes written. */
const FIRST: readonly Omit<Step, 'connection'>[] = [
  { received: true, bytes: 'GET /first HTTP/1.1\r\nHost: a\r\n\r\n', call: 'plain' },
  { received: false, bytes: 'HTTP/1.1 204 x\r\n\r\n', call: 'plain' },
];
const withFirst = (steps: readonly Step[], connections: number): Step[] => [
  ...Array.from({ length: connections }, (_, connection) =>
    FIRST.map((step) => ({ ...step, connection })),
  ).flat(),
  ...steps,
];

const clientCommandsOf = (steps: readonly Step[]): string[] => [
  targetCommand(TARGET_FLAG.CLIENT_SOCKET),
  ...steps.map(({ connection, received, bytes, call }) =>
    (received ? send : recv)(bytes, { socket: connection + 1, call }),
  ),
];

/** A head that came in several writes is told by its size alone. */
const sizeOnly = (size: number) => `${size} bytes`;

function clientSeenBy(result: Replayed, connections: number): Seen[] {
  const seen = Array.from({ length: connections }, newSeen);
  const sockets = new Map<number, Seen>();
  for (const record of result.records) {
    if (record.kind === 'client-request') {
      const { connection, sequence, peerPort, head, headSize } = record.event;
      const one = seen[peerPort - 40_001] ?? assert.fail(`port ${peerPort}`);
      sockets.set(connection, one);
      assert.equal(sequence, one.requests.length);
      if (head !== '') assert.equal(head.length, headSize);
      one.requests.push(head === '' ? sizeOnly(headSize) : head.replace(/^[\r\n]+/, ''));
    } else if (record.kind === 'client-response') {
      const one = sockets.get(record.event.connection) ?? assert.fail('a response to nothing');
      assert.equal(record.event.sequence, one.statuses.length);
      one.statuses.push(record.event.status);
    } else {
      assert.equal(record.kind, 'client-closed');
    }
  }
  return seen;
}

/** As `like` tells it: whole, or by its size with up to two empty lines before it. */
const clientHead = (head: string, like: string) =>
  [0, 2, 4].map((empty) => sizeOnly(head.length + empty)).find((text) => text === like) ?? head;

test('clients: well-formed conversations, cut and interleaved at random', () => {
  fc.assert(
    fc.property(fc.array(conversation, { minLength: 1, maxLength: 60, size: 'max' }), (conversations) => {
      const cases = conversations.map((steps) => withFirst(steps, 4));
      for (const [i, result] of replay(cases.map(clientCommandsOf)).entries()) {
        const seen = clientSeenBy(result, 4);
        for (const [n, expected] of modelOf(cases[i] ?? [], 4).entries()) {
          const actual = seen[n] ?? newSeen();
          assert.deepEqual(actual.statuses, expected.statuses);
          const requests = expected.requests.map((head, k) => clientHead(head, actual.requests[k] ?? ''));
          assert.deepEqual(actual.requests, requests);
        }
        const { HEAD_TRUNCATED: _, CALL_UNLINKED: _unlinked, ...losses } = result.counters;
        assert.deepEqual(losses, {});
      }
    }),
    { numRuns: RUNS },
  );
});

/** Damages what the peer answers. What follows CONNECT depends on that. */
const withoutConnect = messages.filter((list) => !list.some(([, bytes]) => bytes.startsWith('CONNECT')));
const damagedAnswers = fc.tuple(withoutConnect, damage, shape).map(([list, all, { cuts, calls }]) => {
  const result = [...list];
  for (const one of all) {
    const place = one.message % result.length;
    const [received, bytes] = result[place] ?? [true, ''];
    if (!received && bytes !== '') result[place] = [received, damaged(bytes, one)];
  }
  return withFirst(segment(result, cuts, calls), 1);
});

test('clients: damaged answers never make a request, nor more answers than requests', () => {
  fc.assert(
    fc.property(fc.array(damagedAnswers, { minLength: 1, maxLength: 100, size: 'max' }), (conversations) => {
      for (const [i, result] of replay(conversations.map(clientCommandsOf)).entries()) {
        const [actual = newSeen()] = clientSeenBy(result, 1);
        const all = new ConnectionModel();
        for (const { received, bytes } of conversations[i] ?? []) if (received) all.request(bytes);
        const known = all.requests.slice(0, actual.requests.length);
        assert.deepEqual(
          actual.requests,
          known.map((head, n) => clientHead(head, actual.requests[n] ?? '')),
        );
        assert(actual.statuses.length <= actual.requests.length);
      }
    }),
    { numRuns: RUNS },
  );
});
