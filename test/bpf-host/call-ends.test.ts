import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answer, check, responded, run, serve, written } from './client-commands.ts';
import {
  type CallOptions,
  call,
  clientError,
  connected,
  connecting,
  drop,
  encode,
  inTask,
  newTask,
  parse,
  refused,
} from './client-memory.ts';
import { type Commands, thread } from './driver.ts';
import { summary } from './summary.ts';

const CALL = (id: number) => `call ${id} GET http://h/x in /a`;
const ends = (name: string, commands: Commands, expected: readonly string[]) =>
  check(name, [serve('/a'), ...commands], ['> 0 GET /a HTTP/1.1', ...expected]);

ends('a future that has returned', [...call(1), ...drop(1, 'returned')], [CALL(1), 'end 1 returned']);
ends('that has panicked', [...call(1), ...drop(1, 'panicked')], [CALL(1), 'end 1 returned']);
ends('that waits', [...call(1), ...drop(1, 'waiting')], [CALL(1), 'end 1 suspended']);
ends('that was never polled', [...call(1), ...drop(1, 'fresh')], [CALL(1), 'end 1 suspended']);
ends(
  'whose state is not known',
  [...call(1), ...drop(1, 'waiting', { stateAt: 0xffff })],
  [CALL(1), 'end 1 unknown'],
);
ends(
  'whose state can not be read',
  [...call(1), ...drop(1, 'waiting', { stateAt: 0x8000 })],
  [CALL(1), 'end 1 unknown'],
);
ends(
  'a future that is smaller than what is looked through, with the path in its last word of 512 bytes',
  [...call(1), ...drop(1, 'waiting', { size: 0x200, at: 0x1f8 })],
  [CALL(1), 'end 1 suspended'],
);
ends(
  'and in the last of 1024',
  [...call(1), ...drop(1, 'waiting', { size: 0x400, at: 0x3f8 })],
  [CALL(1), 'end 1 suspended'],
);
ends(
  'memory that can not be read: the call stays',
  [...call(1), 'probe hyper_client_drop 0 4096 0 0', ...drop(1, 'waiting')],
  [CALL(1), 'end 1 suspended', 'READ_FAILED 1'],
);
ends(
  'another future is no end of it',
  [...call(1), ...drop(2, 'waiting'), ...drop(1, 'waiting')],
  [CALL(1), 'end 1 suspended'],
);
ends(
  'another task’s is neither',
  [...call(1), inTask(900), ...drop(1, 'waiting'), inTask(7), ...drop(1, 'waiting')],
  [CALL(1), 'end 1 suspended'],
);
ends('ends once', [...call(1), ...drop(1, 'waiting'), ...drop(1, 'waiting')], [CALL(1), 'end 1 suspended']);
ends(
  'an answered call has none',
  [...call(1), ...written(1), ...responded(), ...drop(1, 'returned')],
  [CALL(1), '#2 => 0 call 1', '#2 <= 0 200 call 1'],
);
ends(
  'nor has one that was answered under TLS',
  [
    ...[...call(1, { scheme: 'https' }), inTask(900), ...encode(1), ...parse('HTTP/1.1 200 OK\r\n\r\n')],
    ...[inTask(7), ...drop(1, 'returned')],
  ],
  ['call 1 GET https://h/x in /a', '#2 => 0 tls call 1', '#2 <= 0 200 call 1'],
);
ends(
  'written, and never answered',
  [...call(1), ...written(1), 'state 100 7 104', ...drop(1, 'returned')],
  [CALL(1), '#2 => 0 call 1', '#2 client closed 1 errno 104 call 1', 'end 1 returned written'],
);
check(
  'a call of a thread',
  [thread(3), ...call(1), thread(4), ...drop(1, 'waiting'), thread(3), ...drop(1, 'waiting')],
  ['call 1 GET http://h/x no_task', 'end 1 suspended', 'NO_TASK 1'],
);

// ---- several at once ----

const joined = [...call(1), ...call(2), ...call(3)];
const three = [CALL(1), CALL(2), CALL(3)];

ends(
  'of three the one that is dropped',
  [
    ...[...joined, ...written(1, {}, 101), ...written(3, {}, 103), ...responded(undefined, 103)],
    ...[...drop(2, 'waiting'), ...drop(3, 'returned'), ...responded(undefined, 101), ...drop(1, 'returned')],
  ],
  [
    ...[...three, '#2 => 0 call 1', '#3 => 0 call 3', '#3 <= 0 200 call 3', 'end 2 suspended'],
    '#2 <= 0 200 call 1',
  ],
);
ends(
  'an answered future’s end is not that of one that waits',
  [
    ...joined,
    ...written(2),
    ...responded(),
    ...drop(2, 'returned'),
    ...drop(1, 'waiting'),
    ...drop(3, 'waiting'),
  ],
  [...three, '#2 => 0 call 2', '#2 <= 0 200 call 2', 'end 1 suspended', 'end 3 suspended'],
);

ends(
  'what lies behind a future in memory is not its end',
  [
    ...[...call(2), ...call(1), ...call(3), ...written(1, {}, 101), ...written(2, {}, 102)],
    ...[...responded(undefined, 101), ...responded(undefined, 102)],
    ...[...drop(1, 'returned', { next: 2 }), ...drop(2, 'returned', { next: 3 }), ...drop(3, 'waiting')],
  ],
  [
    ...['call 1 GET http://h/x in /a', 'call 2 GET http://h/x in /a', CALL(3)],
    ...['#2 => 0 call 2', '#3 => 0 call 1', '#2 <= 0 200 call 2', '#3 <= 0 200 call 1', 'end 3 suspended'],
  ],
);
ends(
  'nor is what a future has moved away: its place may be the path of the next call',
  [
    ...[...call(1), ...written(1), ...responded(), ...call(2), ...drop(1, 'returned', { stale: 2 })],
    ...drop(2, 'waiting'),
  ],
  [CALL(1), '#2 => 0 call 1', '#2 <= 0 200 call 1', CALL(2), 'end 2 suspended'],
);
ends(
  'its memory is another call’s before its caller hears that it failed',
  [
    ...[...call(1), connecting(5), connected(5), inTask(8), ...call(2, { entriesOf: 1 }), inTask(7)],
    ...drop(1, 'returned'),
  ],
  [
    CALL(1),
    'call 2 GET http://h/x no_context',
    'end 1 returned connects 1 established 1 port 40005',
    'NO_CONTEXT 1',
  ],
);

const SAME: CallOptions = { pathOf: 1 };
ends(
  'one Uri: the future that has returned is the answered one’s, the one that waits the other’s',
  [
    ...[...call(1), ...call(2, SAME), ...written(2, SAME), ...responded(), ...drop(1, 'waiting')],
    ...drop(2, 'returned', SAME),
  ],
  [CALL(1), CALL(2), '#2 => 0 call 2', '#2 <= 0 200 call 2', 'end 1 suspended'],
);

const CONNECTED = [connecting(5), connected(5)];
const REFUSED = [connecting(5), refused(111, 5)];
const BARE: CallOptions = { headers: [0, 0], scheme: 'https' };
const SECURE = (id: number) => `call ${id} GET https://h/x in /a`;
const AGAIN: CallOptions = { ...BARE, pathOf: 1 };
for (const [name, failure, said] of [
  ['refused', REFUSED, 'spawned connects 1 errno 111 port 40005'],
  ['that got no further than a connection', CONNECTED, 'spawned connects 1 established 1 port 40005'],
] as const) {
  ends(
    `a call ${name}, whose text is another call's before its caller has heard`,
    [
      ...[...call(1, BARE), ...failure, newTask(8), inTask(8), ...call(2, AGAIN), inTask(7)],
      ...drop(1, 'returned', BARE),
    ],
    [SECURE(1), SECURE(2), `end 1 returned ${said}`],
  );
  ends(
    `… which was written meanwhile: nobody knows which of the two`,
    [
      ...[
        ...call(1, BARE),
        ...failure,
        newTask(8),
        inTask(8),
        ...call(2, AGAIN),
        ...written(2, AGAIN),
        inTask(7),
      ],
      ...drop(1, 'returned', BARE),
    ],
    [SECURE(1), SECURE(2), `end 1 returned written ${said}`, 'CALL_UNLINKED 1'],
  );
}

test('16 calls of a task are remembered', () => {
  const ids = Array.from({ length: 20 }, (_, i) => i + 1);
  const all = (order: readonly number[]) =>
    summary(run(serve('/a'), ...ids.flatMap((id) => call(id)), ...order.flatMap((id) => drop(id, 'waiting'))))
      .flatMap((line) => /^end (\d+) suspended$/.exec(line)?.[1] ?? [])
      .map(Number);
  assert.deepEqual(all(ids), ids.slice(0, 16));
  assert.deepEqual(all(ids.toReversed()), ids.slice(0, 16).toReversed());
});

test('more calls than places: a future that has returned never ends the call behind it', () => {
  const ids = Array.from({ length: 17 }, (_, i) => i + 1);
  const commands = [
    ...ids.flatMap((id) => call(id)),
    ...drop(17, 'returned', { next: 1 }),
    ...drop(1, 'waiting'),
  ];
  const lines = summary(run(serve('/a'), ...commands)).filter((line) => line.startsWith('end'));
  assert.deepEqual(lines, ['end 1 suspended']);
});

test('places are used again: 100 calls in waves of 16, answered and not', () => {
  const wave = (n: number) => Array.from({ length: 16 }, (_, i) => 16 * n + i + 1);
  const commands = [0, 1, 2, 3, 4, 5].flatMap((n) => [
    ...wave(n).flatMap((id) => call(id)),
    ...wave(n).flatMap((id) => (id % 3 === 0 ? [...written(id), ...responded()] : [])),
    ...wave(n).flatMap((id) => drop(id, id % 3 === 0 ? 'returned' : 'waiting')),
  ]);
  const lines = summary(run(serve('/a'), ...commands));
  const ended = lines.flatMap((line) => /^end (\d+) suspended$/.exec(line)?.[1] ?? []).map(Number);
  assert.deepEqual(
    ended,
    Array.from({ length: 96 }, (_, i) => i + 1).filter((id) => id % 3 !== 0),
  );
});

// ---- futures that another task polls ----

ends(
  'a task made by the caller drops it',
  [...call(1), newTask(8), inTask(8), ...drop(1, 'waiting')],
  [CALL(1), 'end 1 suspended spawned'],
);
ends(
  'of two such tasks each its own',
  [
    ...[...call(1), newTask(8), ...call(2), newTask(9), ...written(1), ...responded()],
    ...[inTask(9), ...drop(2, 'returned'), inTask(8), ...drop(1, 'returned')],
  ],
  [CALL(1), CALL(2), '#2 => 0 call 1', '#2 <= 0 200 call 1', 'end 2 returned spawned'],
);
ends(
  'its own calls come first',
  [...call(1), newTask(8), inTask(8), ...call(2), ...drop(2, 'waiting'), ...drop(1, 'waiting')],
  [CALL(1), CALL(2), 'end 2 suspended', 'end 1 suspended spawned'],
);
ends(
  'a task made when no call was open is nobody’s',
  [newTask(8), ...call(1), inTask(8), ...drop(1, 'waiting')],
  [CALL(1)],
);
ends(
  'connects and errors in that task count for the call',
  [
    ...[
      ...call(1),
      newTask(8),
      inTask(8),
      connecting(5),
      'state 5 7 111',
      clientError,
      ...drop(1, 'returned'),
    ],
  ],
  [CALL(1), 'end 1 returned given-up spawned connects 1 errno 111 port 40005'],
);

// ---- what the caller has seen ----

ends(
  'a connection that is refused',
  [...call(1), connecting(5), refused(111, 5), ...drop(1, 'returned')],
  [CALL(1), 'end 1 returned connects 1 errno 111 port 40005'],
);
ends(
  'refused, then established elsewhere',
  [...call(1), connecting(5), refused(113, 5), connecting(6), connected(6), ...drop(1, 'returned')],
  [CALL(1), 'end 1 returned connects 2 established 1 errno 113 port 40006'],
);
ends(
  'established in another thread, by the task that began it',
  [...call(1), connecting(5), 'thread 9 9 0', connected(5), inTask(7), ...drop(1, 'waiting')],
  [CALL(1), 'end 1 suspended connects 1 established 1 port 40005'],
);
ends(
  'still connecting',
  [...call(1), connecting(5), ...drop(1, 'waiting')],
  [CALL(1), 'end 1 suspended connects 1 port 40005'],
);
ends(
  'given up while connecting: closed without error',
  [...call(1), connecting(5), 'state 5 7 0', ...drop(1, 'returned')],
  [CALL(1), 'end 1 returned connects 1 port 40005'],
);
ends(
  'a connection of another task is none of its',
  [...call(1), inTask(8), connecting(5), refused(111, 5), inTask(7), ...drop(1, 'waiting')],
  [CALL(1), 'end 1 suspended'],
);
ends(
  'what was seen before the first call began does not count',
  [
    ...[...call(1), newTask(8), connecting(5), refused(111, 5), clientError, ...drop(1, 'returned')],
    ...[connecting(6), ...call(2), ...drop(2, 'waiting')],
  ],
  [CALL(1), 'end 1 returned given-up spawned connects 1 errno 111 port 40005', CALL(2), 'end 2 suspended'],
);
ends(
  'the client gives up: told once',
  [...call(1), ...call(2), clientError, ...drop(1, 'waiting'), ...drop(2, 'waiting')],
  [CALL(1), CALL(2), 'end 1 suspended given-up', 'end 2 suspended'],
);
ends(
  'an error of an answered call is not the next one’s',
  [
    ...[...call(1), ...written(1), ...responded(), clientError, ...drop(1, 'returned')],
    ...[...call(2), ...drop(2, 'waiting')],
  ],
  [CALL(1), '#2 => 0 call 1', '#2 <= 0 200 call 1', CALL(2), 'end 2 suspended'],
);
ends(
  'an error of another task is none of its',
  [...call(1), inTask(8), clientError, inTask(7), ...drop(1, 'waiting'), answer()],
  [CALL(1), 'end 1 suspended', '< 0 200'],
);
ends(
  'a name is resolved in a task',
  [...call(1), newTask(50), ...drop(1, 'returned')],
  [...[CALL(1), 'end 1 returned spawned']],
);

ends(
  'dropped before it was written, and written all the same: no span of its own',
  [...call(1), ...drop(1, 'waiting'), ...written(1), ...responded()],
  [CALL(1), 'end 1 suspended'],
);
