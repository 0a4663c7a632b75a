import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { call, channelCall, channelDrop, inTask, newTask } from './client-memory.ts';
import { type Commands, memory, recv, replayOne, targetCommand, thread } from './driver.ts';
import {
  accept,
  answered,
  CONNECTION_TASK,
  carried,
  check,
  GET,
  GET_SEEN,
  RPC,
  RPC_SEEN,
  STREAMS,
  served,
  TASKS,
} from './stream-commands.ts';
import {
  cancel,
  recvHeaders,
  recvTrailers,
  sendHeaders,
  streamLayout,
  takeInRegisters,
  takeRequest,
} from './stream-memory.ts';
import { summary } from './summary.ts';

const connectionTask = inTask(CONNECTION_TASK);
const calls = (first: number, count = 1) =>
  Array.from({ length: count }, (_, i) => call(first + i, { path: '/a' })).flat();

// ---- from the stream to its task ----

check(
  'a call in the task of a stream',
  [...served(1, 1, 20), inTask(20), ...calls(1), ...answered(1, 1)],
  [`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a in 1/1', '1/1 < 200'],
);
check(
  'the stream is in a register where it is accepted',
  [
    ...[...recvHeaders(1, 1, GET), ...takeInRegisters(1, 1), newTask(20)],
    ...[inTask(20), ...calls(1), ...answered(1, 1)],
  ],
  [`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a in 1/1', '1/1 < 200'],
);
check(
  'three are received before the first is accepted',
  [
    ...[...recvHeaders(1, 1, GET), ...recvHeaders(1, 3, RPC), ...recvHeaders(1, 5, GET)],
    ...[...accept(1, 1, 20), ...accept(1, 3, 21), ...accept(1, 5, 22)],
    ...[inTask(21), ...calls(1), inTask(20), ...calls(2), inTask(22), ...calls(3)],
  ],
  [
    ...[`1/1 > ${GET_SEEN}`, `1/3 > ${RPC_SEEN}`, `1/5 > ${GET_SEEN}`],
    ...['call 1 GET http://h/a in 1/3', 'call 2 GET http://h/a in 1/1', 'call 3 GET http://h/a in 1/5'],
  ],
);
check(
  'they are accepted in another order, and one is not sampled',
  [
    ...[...recvHeaders(1, 1, GET), 'set sampler_root 0', ...recvHeaders(1, 3, GET), 'set sampler_root 1'],
    ...[...recvHeaders(1, 5, GET), ...accept(1, 5, 22), ...accept(1, 3, 21), ...accept(1, 1, 20)],
    ...[inTask(20), ...calls(1), inTask(21), ...calls(2), inTask(22), ...calls(3)],
  ],
  [
    ...[`1/1 > ${GET_SEEN}`, `1/5 > ${GET_SEEN}`, 'call 1 GET http://h/a in 1/1'],
    ...['call 3 GET http://h/a in 1/5', 'UNSAMPLED 2'], // the call of a request that is left out is left out, too
  ],
);
check(
  'connections on two threads at once',
  [
    ...[...recvHeaders(1, 1, GET), thread(2, 8), ...recvHeaders(2, 1, RPC), ...takeRequest(2, 1)],
    ...[thread(1, CONNECTION_TASK), ...takeRequest(1, 1), thread(2, 8), newTask(21)],
    ...[thread(1, CONNECTION_TASK), newTask(20), inTask(20), ...calls(1), inTask(21), ...calls(2)],
  ],
  [
    ...[`1/1 > ${GET_SEEN}`, `2/1 > ${RPC_SEEN}`],
    ...['call 1 GET http://h/a in 1/1', 'call 2 GET http://h/a in 2/1'],
  ],
);
check(
  'a connection that goes on in another thread',
  [
    ...[...recvHeaders(1, 1, GET), thread(2, CONNECTION_TASK), ...accept(1, 1, 20), thread(1, 20)],
    ...calls(1),
  ],
  [`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a in 1/1'],
);
check(
  'the same stream number on two connections of a task',
  [
    ...[...recvHeaders(1, 1, GET), ...recvHeaders(2, 1, RPC), ...accept(2, 1, 20), ...accept(1, 1, 21)],
    ...[inTask(20), ...calls(1), inTask(21), ...calls(2)],
  ],
  [
    ...[`1/1 > ${GET_SEEN}`, `2/1 > ${RPC_SEEN}`],
    ...['call 1 GET http://h/a in 2/1', 'call 2 GET http://h/a in 1/1'],
  ],
);
/** Whose place is the same: see bpf/recent.h. */
const sameStreams = [0, 1, 2, 3, 4].map((i) => 1 + 2 * 4096 * i);
const sameTasks = [0, 1, 2, 3, 4].map((i) => 20 + 16384 * i) as [number, number, number, number, number];
const callIn = (task: number, index: number) => [inTask(task), ...calls(index)];

check(
  'of five streams for which there are four places the oldest is forgotten',
  [
    ...sameStreams.flatMap((id) => recvHeaders(1, id, GET)),
    ...sameStreams.flatMap((id, i) => [inTask(CONNECTION_TASK), ...accept(1, id, 20 + i)]),
    ...sameStreams.flatMap((_, i) => callIn(20 + i, i + 1)),
  ],
  [
    ...sameStreams.map((id) => `1/${id} > ${GET_SEEN}`),
    ...sameStreams.map((id, i) => `call ${i + 1} GET http://h/a ${i === 0 ? 'no_context' : `in 1/${id}`}`),
    'NO_CONTEXT 1',
  ],
);
const [first, second, third, fourth, fifth] = sameTasks;
check(
  'of five tasks for which there are four places one that calls stays',
  [
    ...[...served(1, 1, first), inTask(first), newTask(second), newTask(third), newTask(fourth)],
    ...[...callIn(first, 1), newTask(fifth)],
    ...[...callIn(first, 2), ...callIn(second, 3), ...callIn(third, 4), ...callIn(fifth, 5)],
  ],
  [
    ...[`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a in 1/1', 'call 2 GET http://h/a in 1/1'],
    ...['call 3 GET http://h/a no_context', 'call 4 GET http://h/a in 1/1', 'call 5 GET http://h/a in 1/1'],
    'NO_CONTEXT 1',
  ],
);
check(
  'a task that was made by a stream’s task',
  [...served(1, 1, 20), inTask(20), newTask(30), inTask(30), ...calls(1)],
  [`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a in 1/1'],
);
check(
  'the connection’s own task works for nobody',
  [...served(1, 1, 20), ...calls(1)],
  [`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a no_context', 'NO_CONTEXT 1'],
);
check(
  'tasks that the connection makes behind the next headers are for nobody',
  [...served(1, 1, 20), ...recvHeaders(1, 3, GET), newTask(30), inTask(30), ...calls(1)],
  [`1/1 > ${GET_SEEN}`, `1/3 > ${GET_SEEN}`, 'call 1 GET http://h/a no_context', 'NO_CONTEXT 1'],
);
check(
  'and those that another task makes in the same thread',
  [
    ...[...recvHeaders(1, 1, GET), ...takeRequest(1, 1), inTask(50), newTask(51), inTask(51), ...calls(1)],
    ...[connectionTask, newTask(20), inTask(20), ...calls(2)],
  ],
  [
    ...[`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a no_context', 'call 2 GET http://h/a in 1/1'],
    'NO_CONTEXT 1',
  ],
);
check(
  'a stream that is older than the agent',
  [...served(1, 1, 20), ...accept(1, 3, 21), inTask(21), ...calls(1)],
  [`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a no_context', 'NO_CONTEXT 1'],
);
check(
  'a stream is accepted once',
  [...served(1, 1, 20), ...accept(1, 1, 21), inTask(21), ...calls(1)],
  [`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a no_context', 'NO_CONTEXT 1'],
);
check(
  'a process after exec has other streams',
  [
    ...recvHeaders(1, 1, GET),
    'exec 5 7',
    targetCommand(STREAMS),
    ...accept(1, 1, 20),
    inTask(20),
    ...calls(1),
  ],
  [`1/1 > ${GET_SEEN}`, 'exec', 'call 1 GET http://h/a no_context', 'NO_CONTEXT 1'],
);
check(
  'the parent is in the span’s trace, and what the client writes has the call’s ids',
  [
    ...[
      ...recvHeaders(1, 1, {
        ...GET,
        headers: [['traceparent', `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`]],
      }),
    ],
    ...[...accept(1, 1, 20), inTask(20), ...calls(1), ...carried(1, 2, 1)],
  ],
  [
    `1/1 > traced ${GET_SEEN} traceparent=00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`,
    ...['call 1 GET http://h/a in 1/1', `2/1 => call 1 ${GET_SEEN}`],
  ],
);

// ---- gRPC channels ----

const inStream = (name: string, commands: Commands, expected: readonly string[]) =>
  check(name, [...served(1, 1, 20), inTask(20), ...commands], [`1/1 > ${GET_SEEN}`, ...expected]);
const [inOwn, inConnection] = [inTask(20), inTask(900)];
const toStream = (id: number, stream: number, options = {}) => [
  ...carried(id, 2, stream, options, RPC),
  inOwn,
];

inStream(
  'a call to a channel, its stream, its end',
  [
    ...[...channelCall(1), ...toStream(1, 1), inConnection, ...recvHeaders(2, 1, { status: 200 })],
    ...[...recvTrailers(2, 1, { headers: [['grpc-status', '0']] }), inOwn, channelDrop],
  ],
  ['channel 1 POST /s/m in 1/1', `2/1 => call 1 ${RPC_SEEN}`, '2/1 <= 200', '2/1 <=- grpc-status=0'],
);
inStream(
  'a call that is dropped before any stream carries it',
  [...channelCall(1), channelDrop, ...channelCall(2), ...toStream(2, 1), channelDrop, channelDrop],
  ['channel 1 POST /s/m in 1/1', 'end 1 unknown', 'channel 2 POST /s/m in 1/1', `2/1 => call 2 ${RPC_SEEN}`],
);
inStream(
  'calls at once: those that streams carry return first',
  [
    ...[...channelCall(1), ...channelCall(2), ...channelCall(3)],
    ...[...toStream(3, 1), ...toStream(1, 3), channelDrop, channelDrop, channelDrop, channelDrop],
  ],
  [
    ...['channel 1 POST /s/m in 1/1', 'channel 2 POST /s/m in 1/1', 'channel 3 POST /s/m in 1/1'],
    ...[`2/1 => call 3 ${RPC_SEEN}`, `2/3 => call 1 ${RPC_SEEN}`, 'end 2 unknown'],
  ],
);
inStream(
  'a call in the memory of the one before',
  [
    ...[...channelCall(1), ...toStream(1, 1), channelDrop, ...channelCall(2, { entriesOf: 1, pathOf: 1 })],
    ...toStream(2, 3, { entriesOf: 1 }),
  ],
  [
    ...['channel 1 POST /s/m in 1/1', `2/1 => call 1 ${RPC_SEEN}`, 'channel 2 POST /s/m in 1/1'],
    `2/3 => call 2 ${RPC_SEEN}`,
  ],
);
inStream(
  'a call whose headers have no room for another is left to its stream',
  [...channelCall(1, { headers: [6, 6] }), ...toStream(1, 1), channelDrop],
  [`2/1 => alone ${RPC_SEEN}`, 'CALL_UNLINKED 1'],
);
inStream(
  'a request that the connection sends again for a call it has sent is none of the call’s',
  [...channelCall(1), ...toStream(1, 1), ...toStream(1, 3)],
  ['channel 1 POST /s/m in 1/1', `2/1 => call 1 ${RPC_SEEN}`, `2/3 => alone ${RPC_SEEN}`, 'CALL_UNLINKED 1'],
);
inStream(
  'a channel’s call and one of another client at a time',
  [
    ...[...calls(1), ...channelCall(2), ...carried(1, 3, 1), ...toStream(2, 1), channelDrop],
    ...[inConnection, ...recvHeaders(3, 1, { status: 204 }), ...recvHeaders(2, 1, { status: 200 })],
  ],
  [
    ...['call 1 GET http://h/a in 1/1', 'channel 2 POST /s/m in 1/1', `3/1 => call 1 ${GET_SEEN}`],
    ...[`2/1 => call 2 ${RPC_SEEN}`, '3/1 <= 204', '2/1 <= 200'],
  ],
);
inStream(
  'a call that is not sampled has no stream either',
  ['set sampler_parent_sampled 0', ...channelCall(1), ...toStream(1, 1), channelDrop],
  ['UNSAMPLED 1'],
);
inStream(
  'a caller that gives up a stream',
  [...channelCall(1), ...toStream(1, 1), channelDrop, ...cancel(2, 1)],
  ['channel 1 POST /s/m in 1/1', `2/1 => call 1 ${RPC_SEEN}`, '2/1 own reset 8'],
);
check(
  'a channel’s call outside any request',
  [...channelCall(1), ...toStream(1, 1)],
  ['channel 1 POST /s/m no_context', `2/1 => call 1 ${RPC_SEEN}`, 'NO_CONTEXT 1'],
);
check('a drop without a call', [channelDrop, inOwn, channelDrop], []);
check(
  'a channel’s request that can not be read',
  ['probe tonic_call 0 0 0 4096', ...channelCall(1)],
  ['channel 1 POST /s/m no_context', 'READ_FAILED 1', 'NO_CONTEXT 1'],
);

// ---- routes ----

interface Block {
  readonly address: string;
  readonly bytes: string;
}
interface Table {
  readonly name: string;
  readonly map: Block;
  readonly table: Block;
  readonly templates: readonly (Block & { readonly id: number; readonly text: string })[];
}

const FILE = new URL('../../../bpf/host/route-tables/tables.json', import.meta.url);
const TABLE: Table =
  JSON.parse(readFileSync(FILE, 'utf8')).find(({ name }: Table) => name === '7 routes') ?? assert.fail();
const block = ({ address, bytes }: Block, size = 0) =>
  memory(BigInt(address), Buffer.from(bytes.padEnd(2 * size, '0'), 'hex'));
const ROUTED = targetCommand(STREAMS | FLAG.ROUTES);
/** axum 0.8's table, as in routes.test.ts. */
const AXUM = {
  ...{ tableControl: 0, tableMask: 8, tableKeys: 32, bucketSize: 24, bucketId: 0 },
  ...{ bucketPointer: 8, bucketLength: 16, arcHeader: 16 },
};

const routed = (...commands: Commands) =>
  summary(
    replayOne([
      ...[ROUTED, streamLayout(AXUM), connectionTask, block(TABLE.map, 48), block(TABLE.table)],
      ...TABLE.templates.map((template) => block(template)),
      ...commands,
    ]),
  );
const route = (id: number) => `route 0 ${id} ${TABLE.map.address}`;
const ask = (stream: number, task: number) => served(1, stream, task);

test('the routes that a stream’s task has passed, outermost first', () => {
  const lines = routed(...ask(1, 20), inTask(20), route(1), route(2), ...answered(1, 1));
  assert.deepEqual(lines, [`1/1 > ${GET_SEEN}`, '1/1 < 200 routes /r1/{id} /r2/{id}']);
});
test('of two streams in one thread', () => {
  const lines = routed(
    ...[...recvHeaders(1, 1, GET), ...recvHeaders(1, 3, GET), ...accept(1, 1, 20), ...accept(1, 3, 21)],
    ...[inTask(21), route(3), inTask(20), route(1), ...answered(1, 1), inTask(21), ...answered(1, 3)],
  );
  assert.deepEqual(lines.slice(2), ['1/1 < 200 routes /r1/{id}', '1/3 < 200 routes /r3/{id}']);
});
test('they are behind the response’s headers, and an interim response does not take them', () => {
  const lines = routed(
    ...[...ask(1, 20), inTask(20), route(1), ...answered(1, 1, 103)],
    ...sendHeaders(1, 1, {
      status: 201,
      headers: [
        ['te', 'x'],
        ['a', 'b'],
      ],
    }),
  );
  assert.deepEqual(lines, [`1/1 > ${GET_SEEN}`, '1/1 < 201 te=x a=b routes /r1/{id}']);
});
test('a response from another task than the stream’s has none', () => {
  const lines = routed(...ask(1, 20), inTask(20), route(1), inTask(21), ...answered(1, 1));
  assert.deepEqual(lines, [`1/1 > ${GET_SEEN}`, '1/1 < 200']);
});
test('a response to another stream than the task’s has none', () => {
  const lines = routed(...ask(1, 20), inTask(20), route(1), ...answered(1, 3), ...answered(1, 1));
  assert.deepEqual(lines.slice(1), ['1/3 < 200', '1/1 < 200 routes /r1/{id}']);
});
test('too many, or unknown ones: none, and counted', () => {
  const many = Array.from({ length: 5 }, () => route(1));
  const lines = routed(...ask(1, 20), inTask(20), ...many, ...answered(1, 1));
  assert.deepEqual(lines, [`1/1 > ${GET_SEEN}`, '1/1 < 200', 'ROUTE_UNKNOWN 1']);
  const unknown = routed(...ask(1, 20), inTask(20), route(9999), ...answered(1, 1));
  assert.deepEqual(unknown, [`1/1 > ${GET_SEEN}`, '1/1 < 200', 'ROUTE_UNKNOWN 1', 'IMPLAUSIBLE 1']);
});
test('a route in a task that handles no stream is nobody’s', () => {
  assert.deepEqual(routed(...ask(1, 20), inTask(21), route(1), ...answered(1, 1)), [
    ...[`1/1 > ${GET_SEEN}`, '1/1 < 200', 'ROUTE_UNKNOWN 1'],
  ]);
});
test('HTTP/1 beside it is as ever', () => {
  const lines = routed(
    ...[targetCommand(STREAMS | FLAG.ROUTES | FLAG.SOCKET), ...ask(1, 20), inTask(8)],
    ...[recv('GET /x HTTP/1.1\r\n\r\n', { flags: 0x40 }), route(2), inTask(20), route(1), ...answered(1, 1)],
    ...[inTask(8), ...calls(1)],
  );
  assert.deepEqual(lines, [
    ...[
      `1/1 > ${GET_SEEN}`,
      '> 0 GET /x HTTP/1.1',
      '1/1 < 200 routes /r1/{id}',
      'call 1 GET http://h/a in /x',
    ],
  ]);
});

test('without TARGET_CONTEXTS nothing has a parent', () => {
  const target = targetCommand((STREAMS & ~TASKS) | FLAG.TASK_SLOT | FLAG.TASK_TAG);
  const commands = [...served(1, 1, 20), inTask(20), ...calls(1)];
  assert.deepEqual(summary(replayOne([target, streamLayout(), connectionTask, ...commands])), [
    ...[`1/1 > ${GET_SEEN}`, 'call 1 GET http://h/a no_context', 'NO_CONTEXT 1'],
  ]);
});
