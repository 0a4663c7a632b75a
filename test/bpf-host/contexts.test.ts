import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COOKIE_REGISTER_SHIFT, TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { answer, CLIENTS, check, get, MSG_DONTWAIT, OK, run, serve, TASKS } from './client-commands.ts';
import { blockingCall, call, execute, inTask, layoutCommand, newTask } from './client-memory.ts';
import { type Commands, recv, replayOne, send, targetCommand, thread } from './driver.ts';
import { summary } from './summary.ts';

/** What a client that no probe knows does, in the present task or thread. */
const write = (path: string, socket = 200) => send(get(path), { socket });
const ADDRESS = 'address 1 2 7f000001 80 7f000001 9';

check(
  'a call in the task that serves the request',
  [serve('/a'), ...call(1), answer()],
  ['> 0 GET /a HTTP/1.1', 'call 1 GET http://h/x in /a', '< 0 200'],
);
check(
  'in a task born in it, and in one born in that one',
  [serve('/a'), newTask(8), inTask(8), ...call(1), newTask(9), inTask(9), ...call(2), write('/w')],
  [
    ...['> 0 GET /a HTTP/1.1', 'call 1 GET http://h/x in /a', 'call 2 GET http://h/x in /a'],
    '#2 => 0 GET /w HTTP/1.1 in /a',
  ],
);
check(
  'a task that lives longer than its request keeps its context, its maker goes on',
  [serve('/a'), newTask(8), answer(), serve('/b'), inTask(8), ...call(1), inTask(7), ...call(2)],
  [
    ...['> 0 GET /a HTTP/1.1', '< 0 200', '> 1 GET /b HTTP/1.1'],
    ...['call 1 GET http://h/x in /a', 'call 2 GET http://h/x in /b'],
  ],
);
check(
  'a task made before the request has none',
  [newTask(8), serve('/a'), inTask(8), ...call(1)],
  ['> 0 GET /a HTTP/1.1', 'call 1 GET http://h/x no_context', 'NO_CONTEXT 1'],
);
check(
  'a task that was born in a request and serves a connection of its own works for that',
  [serve('/a'), newTask(8), inTask(8), serve('/b', 2), ...call(1)],
  ['> 0 GET /a HTTP/1.1', '#2 > 0 GET /b HTTP/1.1', 'call 1 GET http://h/x in /b'],
);

test('the register that holds the new id is in the cookie', () => {
  const names = [
    'ax',
    'cx',
    '',
    'bx',
    'sp',
    'bp',
    '',
    '',
    ...[8, 9, 10, 11, 12, 13, 14, 15].map((n) => `r${n}`),
  ];
  for (const [number, name] of names.entries()) {
    if (name === '') continue; // dx, si, di: arguments of the command
    const other = name === 'ax' ? 'cx=99' : 'ax=99';
    const result = run(serve('/a'), `${newTask(8, [number, name])} ${other}`, inTask(8), ...call(1));
    assert.equal(summary(result)[1], 'call 1 GET http://h/x in /a', name);
  }
  for (const [number, args] of [
    ['2', '0 0 8'],
    ['6', '0 8 0'],
    ['7', '8 0 0'],
  ] as const) {
    const made = `probe tokio_task_new ${BigInt(number) << BigInt(COOKIE_REGISTER_SHIFT)} ${args}`;
    assert.equal(summary(run(serve('/a'), made, inTask(8), ...call(1)))[1], 'call 1 GET http://h/x in /a');
  }
});
check(
  'id 0 is none',
  [serve('/a'), newTask(0), inTask(0), ...call(1)],
  [...['> 0 GET /a HTTP/1.1', 'call 1 GET http://h/x no_task', 'NO_TASK 1']],
);

// ---- pipelining ----

check(
  'the first of pipelined requests is worked for until its answer, then the second',
  [serve('/a'), serve('/b'), ...call(1), answer(), ...call(2), answer(), ...call(3)],
  [
    ...['> 0 GET /a HTTP/1.1', '> 1 GET /b HTTP/1.1', 'call 1 GET http://h/x in /a', '< 0 200'],
    ...['call 2 GET http://h/x in /b', '< 1 200', 'call 3 GET http://h/x in /b'],
  ],
);
check(
  'several in one read',
  [
    recv(['/a', '/b', '/c'].map(get).join(''), { flags: MSG_DONTWAIT }),
    ...[1, 2, 3].flatMap((id) => [...call(id), answer()]),
  ],
  [
    ...['> 0 GET /a HTTP/1.1', '> 1 GET /b HTTP/1.1', '> 2 GET /c HTTP/1.1'],
    ...['call 1 GET http://h/x in /a', '< 0 200', 'call 2 GET http://h/x in /b', '< 1 200'],
    ...['call 3 GET http://h/x in /c', '< 2 200'],
  ],
);
check(
  'one more arrives while some wait',
  [serve('/a'), serve('/b'), answer(), serve('/c'), ...call(1), answer(), ...call(2)],
  [
    ...['> 0 GET /a HTTP/1.1', '> 1 GET /b HTTP/1.1', '< 0 200', '> 2 GET /c HTTP/1.1'],
    ...['call 1 GET http://h/x in /b', '< 1 200', 'call 2 GET http://h/x in /c'],
  ],
);

test('as many as may wait behind the first: 4. Beyond, nothing is said until all are answered', () => {
  const paths = ['/a', '/b', '/c', '/d', '/e', '/f'];
  const callsOf = (count: number) =>
    summary(
      run(
        ...paths.slice(0, count).map((path) => serve(path)),
        ...paths.slice(0, count).flatMap((_, i) => [...call(i + 1), answer()]),
        ...[serve('/next'), ...call(9)],
      ),
    ).flatMap((line) => /^call \d GET http:..h.x (.*)/.exec(line)?.[1] ?? []);
  assert.deepEqual(callsOf(5), ['in /a', 'in /b', 'in /c', 'in /d', 'in /e', 'in /next']);
  assert.deepEqual(callsOf(6), ['in /a', 'shared', 'shared', 'shared', 'shared', 'shared', 'in /next']);
});

// ---- tasks of several connections ----

check(
  'a task that serves two connections at once works for nobody, and so do tasks it makes',
  [serve('/a'), serve('/b', 2), ...call(1), newTask(8), answer(2), ...call(2), inTask(8), ...call(3)],
  [
    ...['> 0 GET /a HTTP/1.1', '#2 > 0 GET /b HTTP/1.1', 'call 1 GET http://h/x shared', '#2 < 0 200'],
    ...['call 2 GET http://h/x shared', 'call 3 GET http://h/x no_context'],
    ...['NO_CONTEXT 1', 'CONTEXT_SHARED 2'],
  ],
);
check(
  'one connection after the other is no sharing',
  [serve('/a'), answer(), serve('/b', 2), ...call(1)],
  ['> 0 GET /a HTTP/1.1', '< 0 200', '#2 > 0 GET /b HTTP/1.1', 'call 1 GET http://h/x in /b'],
);
check(
  'a closed connection is forgotten',
  [serve('/a'), 'state 1 7', ...call(1)],
  ['> 0 GET /a HTTP/1.1', 'closed 1', 'call 1 GET http://h/x no_context', 'NO_CONTEXT 1'],
);

// ---- threads ----

check(
  'a thread that waits for its socket works for the request until it has answered',
  [thread(3), recv(get('/a')), ...call(1), write('/w'), send(OK), ...call(2), recv(get('/b')), ...call(3)],
  [
    ...['> 0 GET /a HTTP/1.1', 'call 1 GET http://h/x in /a', '#2 => 0 GET /w HTTP/1.1 in /a', '< 0 200'],
    ...['call 2 GET http://h/x no_task', '> 1 GET /b HTTP/1.1', 'call 3 GET http://h/x in /b', 'NO_TASK 1'],
  ],
);
check(
  'threads have contexts of their own',
  [
    ...[thread(3), recv(get('/a')), thread(4), recv(get('/b'), { socket: 2 }), ...call(1), thread(3)],
    ...[...call(2), thread(5), ...call(3), thread(4), send(OK, { socket: 2 }), thread(3), ...call(4)],
  ],
  [
    ...['> 0 GET /a HTTP/1.1', '#2 > 0 GET /b HTTP/1.1', 'call 1 GET http://h/x in /b'],
    ...['call 2 GET http://h/x in /a', 'call 3 GET http://h/x no_task', '#2 < 0 200'],
    ...['call 4 GET http://h/x in /a', 'NO_TASK 1'],
  ],
);
check(
  'an event loop without tasks works for nobody',
  [thread(3), serve('/a'), ...call(1), write('/w')],
  ['> 0 GET /a HTTP/1.1', 'call 1 GET http://h/x no_task', '#2 => 0 GET /w HTTP/1.1 alone', 'NO_TASK 2'],
);
check(
  'tasks made by a thread inherit its context',
  [thread(3), recv(get('/a')), newTask(8), inTask(8), ...call(1)],
  ['> 0 GET /a HTTP/1.1', 'call 1 GET http://h/x in /a'],
);

// ---- blocking clients ----

check(
  'a blocking call is handed to the thread that makes it, for that one',
  [
    ...[thread(3), recv(get('/a')), ...blockingCall(1), thread(4), ...execute(1), ...call(1)],
    ...[newTask(20), ...execute(2), ...call(2), inTask(20), ...call(3)],
  ],
  [
    ...[
      '> 0 GET /a HTTP/1.1',
      'needed-blocking',
      'call 1 GET http://h/x in /a',
      'call 2 GET http://h/x no_task',
    ],
    ...['call 3 GET http://h/x in /a', 'NO_TASK 1'],
  ],
);
check(
  'or to the task',
  [
    ...[thread(3), recv(get('/a')), ...blockingCall(1), 'thread 1 4 30', ...execute(1), ...call(1)],
    ...[...execute(2), ...call(2)],
  ],
  [
    ...[
      '> 0 GET /a HTTP/1.1',
      'needed-blocking',
      'call 1 GET http://h/x in /a',
      'call 2 GET http://h/x no_context',
      'NO_CONTEXT 1',
    ],
  ],
);
check(
  'from a task, and several at a time',
  [
    ...[serve('/a'), ...blockingCall(1), 'thread 1 2 8', serve('/b', 2), ...blockingCall(2), thread(4)],
    ...[...execute(2), ...call(2), ...execute(1), ...call(1)],
  ],
  [
    ...['> 0 GET /a HTTP/1.1', 'needed-blocking', '#2 > 0 GET /b HTTP/1.1'], // once a process
    ...['call 1 GET http://h/x in /b', 'call 2 GET http://h/x in /a'],
  ],
);
check(
  'a call outside any request is handed nothing, whatever lay at that address before',
  [
    ...[thread(3), recv(get('/a')), ...blockingCall(1), send(OK), ...blockingCall(1), thread(4)],
    ...[...execute(1), ...call(1)],
  ],
  ['> 0 GET /a HTTP/1.1', 'needed-blocking', '< 0 200', 'call 1 GET http://h/x no_task', 'NO_TASK 1'],
);
check(
  'what a task was born with outlives a call without handoff',
  [serve('/a'), newTask(8), inTask(8), ...execute(1), ...call(1)],
  ['> 0 GET /a HTTP/1.1', 'call 1 GET http://h/x in /a'],
);

// ---- library tier, targets ----

const LIBRARY = targetCommand(FLAG.LIBRARY | FLAG.CONTEXTS | FLAG.TASK_SLOT | FLAG.TASK_TAG | CLIENTS);
const server = (...commands: Commands) => replayOne([LIBRARY, layoutCommand(), inTask(7), ...commands]);
const parsed = (path: string) => `parse 0 1000 ${Buffer.from(get(path)).toString('hex')}`;

test('under TLS the request that hyper has parsed', () => {
  const result = server(
    ADDRESS,
    recv('\x16\x03\x01'),
    parsed('/a'),
    ...call(1),
    'encode 0 1000 200',
    ...call(2),
  );
  assert.deepEqual(summary(result), [
    ...['#2 > 0 GET /a HTTP/1.1', 'call 1 GET http://h/x in /a', '#2 < 0 200', 'call 2 GET http://h/x in /a'],
  ]);
});

test('without TARGET_CONTEXTS nothing has a parent', () => {
  const target = targetCommand(FLAG.SOCKET | FLAG.TASK_SLOT | FLAG.TASK_TAG | CLIENTS);
  const commands = [
    serve('/a'),
    newTask(8),
    ...call(1),
    inTask(8),
    ...call(2),
    thread(3),
    recv(get('/b')),
    ...call(3),
  ];
  assert.deepEqual(summary(replayOne([target, layoutCommand(), inTask(7), ...commands])), [
    ...['> 0 GET /a HTTP/1.1', 'call 1 GET http://h/x no_context', 'call 2 GET http://h/x no_context'],
    ...['> 1 GET /b HTTP/1.1', 'call 3 GET http://h/x no_task', 'NO_TASK 1', 'NO_CONTEXT 2'],
  ]);
});

test('without TARGET_WRITER_CONTEXT what a client writes by itself has none', () => {
  const target = targetCommand((TASKS | CLIENTS) & ~FLAG.WRITER_CONTEXT);
  const result = replayOne([target, layoutCommand(), inTask(7), serve('/a'), write('/w')]);
  assert.deepEqual(summary(result), [
    ...['> 0 GET /a HTTP/1.1', '#2 => 0 GET /w HTTP/1.1 alone', 'CALL_UNLINKED 1'],
  ]);
});
