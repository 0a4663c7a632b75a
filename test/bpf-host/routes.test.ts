import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { probe } from './client-memory.ts';
import { type Commands, memory, type Replayed, recv, replayOne, send, targetCommand } from './driver.ts';
import { summary } from './summary.ts';

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
const TABLES: readonly Table[] = JSON.parse(readFileSync(FILE, 'utf8'));

/** axum 0.8's: control 0, mask 8, keys 32, bucket 24, id 0, pointer 8, length 16, Arc header 16. */
const LAYOUT = 'layout 0 0 0 0 0 0 0 0 8 32 24 0 8 16 16';
const ROUTES = targetCommand(FLAG.SOCKET | FLAG.ROUTES | FLAG.TASK_SLOT | FLAG.TASK_TAG);
const SETUP = [ROUTES, LAYOUT, 'thread 1 1 7'];
const ASK = recv('GET / HTTP/1.1\r\n\r\n');
const ANSWER = send('HTTP/1.1 204 x\r\n\r\n');
/** Only what the hash finds: the search through all buckets is a loop. */
const NO_SCAN = 'set host_loop_limit 0';
const SCAN = 'set host_loop_limit 4294967295';

const block = ({ address, bytes }: Block, size = 0) =>
  memory(BigInt(address), Buffer.from(bytes.padEnd(2 * size, '0'), 'hex'));

/** The hasher's keys are read with the map: 48 bytes. */
const tableMemory = ({ map, table, templates }: Table): string[] => [
  block(map, 48),
  block(table),
  ...templates.map((template) => block(template)),
];

const route = (id: number, { map }: Table) => `route 0 ${id} ${map.address}`;

const tableNamed = (name: string): Table =>
  TABLES.find((table) => table.name === name) ?? assert.fail(`no table ${name}`);

function routesOf({ records }: Replayed): (readonly string[])[] {
  return records.flatMap((record) => (record.kind === 'response' ? [record.event.routes] : []));
}

function routesSeen(commands: Commands): (readonly string[])[] {
  const result = replayOne([...SETUP, ...commands]);
  assert.deepEqual(result.counters, {});
  return routesOf(result);
}

test('inside a function, the map is so far behind a register and the number in another one', () => {
  const table = tableNamed(TABLES[0]?.name ?? '');
  const [first] = table.templates;
  const map = BigInt(table.map.address);
  const at = (distance: bigint) =>
    probe('axum_set_matched_path_at', {
      ...{ rdx: BigInt(first?.id ?? 0), rsi: map - distance },
      ...{ register: 2 | (6 << 4), offset: Number(-distance) },
    });
  const seen = routesSeen([...tableMemory(table), ASK, at(0x98n), ANSWER, ASK, at(-0x10n), ANSWER]);
  assert.deepEqual(seen, [[first?.text], [first?.text]]);
});

for (const table of TABLES.filter(({ name }) => name !== 'another hasher'))
  test(`${table.name}: every id is found by its hash`, () => {
    const asked = table.templates.flatMap(({ id }) => [ASK, NO_SCAN, route(id, table), SCAN, ANSWER]);
    assert.deepEqual(
      routesSeen([...tableMemory(table), ...asked]),
      table.templates.map(({ text }) => [text]),
    );
  });

test('a table with another hasher: every id is found by looking at all', () => {
  const table = tableNamed('another hasher');
  const asked = table.templates.flatMap(({ id }) => [ASK, route(id, table), ANSWER]);
  assert.deepEqual(
    routesSeen([...tableMemory(table), ...asked]),
    table.templates.map(({ text }) => [text]),
  );
});

test('an id that the table lacks, also a removed one: no route, and counted', () => {
  const table = tableNamed('every second route removed');
  const result = replayOne([
    ...SETUP,
    ...tableMemory(table),
    ASK,
    route(2, table),
    ANSWER,
    ASK,
    route(9999, table),
    ANSWER,
  ]);
  assert.deepEqual(routesOf(result), [[], []]);
  assert.deepEqual(result.counters, { ROUTE_UNKNOWN: 2 });
});

test('nested routers: the templates in order; too many spoil one request only', () => {
  const table = tableNamed('7 routes');
  const [first, second] = table.templates;
  assert(first && second);
  const many = Array.from({ length: 5 }, () => route(first.id, table));
  const result = replayOne([
    ...[...SETUP, ...tableMemory(table)],
    ...[ASK, route(first.id, table), route(second.id, table), ANSWER],
    ...[ASK, ...many, ANSWER],
    ...[ASK, route(second.id, table), ANSWER],
  ]);
  assert.deepEqual(routesOf(result), [[first.text, second.text], [], [second.text]]);
  assert.deepEqual(result.counters, { ROUTE_UNKNOWN: 1 });
});

test('memory that is not there: no route, and counted', () => {
  const table = tableNamed('7 routes');
  for (const known of [[], [block(table.map, 48)], [block(table.map, 48), block(table.table)]]) {
    const result = replayOne([...SETUP, ...known, ASK, route(1, table), ANSWER]);
    assert.deepEqual(routesOf(result), [[]]);
    assert.deepEqual(result.counters, { ROUTE_UNKNOWN: 1 });
  }
});

test('the route belongs to the request of its task', () => {
  const table = tableNamed('7 routes');
  const two = [
    recv('GET /a HTTP/1.1\r\n\r\n', { socket: 1 }),
    'thread 1 1 8',
    recv('GET /b HTTP/1.1\r\n\r\n', { socket: 2 }),
  ];
  const routed = [...two, route(2, table), 'thread 1 2 7', route(1, table)];
  const answers = [
    send('HTTP/1.1 204 x\r\n\r\n', { socket: 2 }),
    send('HTTP/1.1 204 x\r\n\r\n', { socket: 1 }),
  ];
  assert.deepEqual(routesSeen([...tableMemory(table), ...routed, ...answers]), [['/r2/{id}'], ['/r1/{id}']]);
});

test('a task that serves two connections at once: no route', () => {
  const table = tableNamed('7 routes');
  const two = [
    recv('GET /a HTTP/1.1\r\n\r\n', { socket: 1 }),
    recv('GET /b HTTP/1.1\r\n\r\n', { socket: 2 }),
  ];
  const answers = [
    send('HTTP/1.1 204 x\r\n\r\n', { socket: 2 }),
    send('HTTP/1.1 204 x\r\n\r\n', { socket: 1 }),
  ];
  const result = replayOne([...SETUP, ...tableMemory(table), ...two, route(1, table), ...answers]);
  assert.deepEqual(routesOf(result), [[], []]);
});

test('a connection that closes gives the route of what it left open', () => {
  const table = tableNamed('7 routes');
  const result = replayOne([...SETUP, ...tableMemory(table), ASK, route(1, table), 'state 1 4']);
  assert.deepEqual(summary(result), ['> 0 GET / HTTP/1.1', 'closed 1']);
  assert.deepEqual(
    result.records.flatMap((record) => (record.kind === 'closed' ? [record.event.routes] : [])),
    [['/r1/{id}']],
  );
});

test("outside a task, a route is nobody's", () => {
  const table = tableNamed('7 routes');
  const result = replayOne([
    ROUTES,
    LAYOUT,
    ...tableMemory(table),
    'thread 1 1 0',
    ASK,
    route(1, table),
    ANSWER,
  ]);
  assert.deepEqual(routesOf(result), [[]]);
});
