import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judge } from '../../src/agent/self-check.ts';
import { COOKIE_SITE_SHIFT, DOUBT, TARGET_FLAG as FLAG } from '../../src/events/layout.ts';
import { newTask } from './client-memory.ts';
import { type Commands, memory, type Replayed, recv, replayOne, targetCommand } from './driver.ts';
import { RPC, run } from './stream-commands.ts';
import { recvHeaders, storeOf } from './stream-memory.ts';
import { summary } from './summary.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n';
/** hyper 1: see library.test.ts. */
const LAYOUT = 'layout 0 40 16 24 104 0 8 0 0 0 0 0 0 0 0';
const KEY = 140_000_000_000_000;
const [PARSE, ENCODE, SPAWN, SLOT] = [1, 2, 3, 4] as const;

const cookie = (site: number) => site << COOKIE_SITE_SHIFT;
const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex');
const parse = (text: string, key = KEY) => `parse ${cookie(PARSE)} ${key} ${hex(text)}`;
const encode = (status: number, key = KEY) => `encode ${cookie(ENCODE)} ${key} ${status}`;
const times = (count: number, ...commands: Commands) => Array.from({ length: count }, () => commands).flat();

const KEYS = ['memory 140000000000000 0000000000000000'];
const LIBRARY = targetCommand(FLAG.LIBRARY | FLAG.LIBRARY_PLAINTEXT);
const library = (...commands: Commands) => replayOne([LIBRARY, LAYOUT, 'thread 1 1 7', ...commands]);

const checksOf = ({ records }: Replayed) =>
  records.flatMap((record) => (record.kind === 'check' ? [record.event] : []));
const told = (result: Replayed) =>
  checksOf(result).map(({ site, doubt, wrong, odd, score }) => ({ site, doubt, wrong, odd, score }));
const spans = (result: Replayed) => summary(result).filter((line) => /^[<>#]/.test(line));

test('a site that is right from the start says nothing', () => {
  const result = library(...KEYS, ...times(300, parse(GET), encode(200)));
  assert.deepEqual([told(result), result.counters, spans(result).length], [[], {}, 600]);
});

test('no pointer where the connection must be: no span, told four times, then now and then', () => {
  const result = library(...times(40, parse(GET, 0x10001), encode(200, 0x10001)));
  assert.deepEqual(spans(result), []);
  const parsed = checksOf(result).filter(({ site }) => site === PARSE);
  assert.deepEqual(
    parsed.map(({ wrong }) => wrong),
    [1, 2, 3, 4, 16, 32],
  );
  assert.deepEqual([...new Set(parsed.map(({ doubt }) => doubt))], [DOUBT.POINTER]);
  assert.deepEqual(parsed.map(judge), ['wait', 'wait', 'wait', 'off', 'off', 'off']);
  assert.equal(parsed[0]?.value, 0x10001n);
});

test('memory that is not there counts as unreadable', () => {
  const calls = [targetCommand(FLAG.CALLS), LAYOUT, 'thread 1 1 7'];
  const result = replayOne([...calls, ...times(3, `probe hyper_client_call ${cookie(PARSE)} 0 4096 0`)]);
  assert.deepEqual(result.counters, { READ_FAILED: 3 });
  assert.deepEqual(told(result).at(-1), { site: PARSE, doubt: DOUBT.MEMORY, wrong: 3, odd: 0, score: 0 });
});

test('after one wrong hit nothing is believed until sixteen were right', () => {
  const result = library(...KEYS, parse(GET, 0x10001), ...times(20, parse(GET), encode(200)));
  assert.equal(spans(result).filter((line) => line.includes('>')).length, 4);
  assert.deepEqual(checksOf(result).map(judge), ['wait']);
});

test('a proven site stands a wrong hit', () => {
  const result = library(
    ...KEYS,
    ...times(100, parse(GET), encode(200)),
    parse(GET, 0x10001),
    parse(GET),
    encode(201),
  );
  assert.deepEqual([told(result), spans(result).length], [[], 202]);
  assert.deepEqual(result.counters, { IMPLAUSIBLE: 1 });
});

test('a status that is none: no response, and the site is told of', () => {
  for (const status of [0, 99, 1000, 0xffff]) {
    const result = library(...KEYS, parse(GET), encode(status));
    assert.deepEqual(spans(result), ['> 0 GET / HTTP/1.1']);
    assert.deepEqual(told(result), [{ site: ENCODE, doubt: DOUBT.STATUS, wrong: 1, odd: 0, score: 0 }]);
    assert.equal(checksOf(result)[0]?.value, BigInt(status));
  }
});

const underTls = (...commands: Commands) => library(recv('\x16\x03\x01'), ...KEYS, ...commands);

test("bytes that are no head may be the peer's: told when so many came under TLS and never a right one", () => {
  const garbage = underTls(...times(63, parse('\x16\x03\x01\x02 hello\r\n\r\n')));
  assert.deepEqual([told(garbage), garbage.counters], [[], {}]);
  const only = underTls(...times(64, parse('\x16\x03\x01\x02 hello\r\n\r\n')));
  assert.deepEqual(told(only), [{ site: PARSE, doubt: DOUBT.HEAD, wrong: 0, odd: 64, score: 0 }]);
  assert.equal(checksOf(only)[0]?.data.length, 8, 'a text may be a secret');
  assert.deepEqual(checksOf(only).map(judge), ['off']);
  const some = underTls(parse(GET), encode(200), ...times(640, parse('\x16\x03\x01\x02 hello\r\n\r\n')));
  assert.deepEqual(told(some), []);
  const plaintext = library(...KEYS, ...times(200, parse('GET\r\n\r\n')));
  assert.deepEqual(told(plaintext), []);
  const http2 = underTls(...times(200, parse('PRI * HTTP/2.0\r\n\r\n')));
  assert.deepEqual(told(http2), []);
});

test('an encoder that misses responses: each next request of the connection shows it', () => {
  const few = library(...KEYS, ...times(8, parse(GET)), encode(200));
  assert.deepEqual(told(few), []);
  const many = library(...KEYS, ...times(9, parse(GET)), encode(200));
  assert.deepEqual(checksOf(many).map(judge), ['partial']);
  assert.deepEqual(checksOf(many)[0]?.unanswered, 8);
});

// ---- tasks ----

const CONTEXTS = FLAG.SOCKET | FLAG.CONTEXTS | FLAG.TASK_SLOT | FLAG.TASK_TAG;
const tasks = (...commands: Commands) =>
  replayOne([`${targetCommand(CONTEXTS)} ${SLOT}`, LAYOUT, ...commands]);
const spawn = (id: bigint | number) =>
  newTask(id).replace(
    /^probe tokio_task_new (\d+)/,
    (_, plain) => `probe tokio_task_new ${BigInt(plain) | BigInt(cookie(SPAWN))}`,
  );
const doubts = (result: Replayed) => checksOf(result).map(({ site, doubt }) => [site, doubt]);

test('ids of new tasks that can be none', () => {
  assert.deepEqual(doubts(tasks('thread 1 1 7', spawn(0x7f00_0000_1000n))), [[SPAWN, DOUBT.TASK]]);
  assert.deepEqual(doubts(tasks('thread 1 1 7', spawn(8), spawn(8))), [[SPAWN, DOUBT.TASK_ORDER]]);
  assert.deepEqual(doubts(tasks('thread 1 1 7', spawn(100_000), spawn(9))), [[SPAWN, DOUBT.TASK_ORDER]]);
  assert.deepEqual(doubts(tasks('thread 1 1 7', spawn(9), spawn(8), spawn(10))), []); // threads overtake each other
});

test('a task slot with a pointer in it is left aside at once', () => {
  const result = tasks('thread 1 1 139637976793088', recv(GET), spawn(8), recv(GET, { socket: 2 }));
  assert.deepEqual(doubts(result), [[SLOT, DOUBT.TASK]]);
  assert.deepEqual(
    result.records.flatMap((record) => (record.kind === 'request' ? [record.event.task] : [])),
    [0, 0],
  );
});

test('a current task above the one it makes', () => {
  assert.deepEqual(doubts(tasks('thread 1 1 50', spawn(20))), [[SLOT, DOUBT.TASK_ORDER]]);
});

test('requests of one connection in different tasks', () => {
  const answer = `send 1 plain ${hex(OK)}`;
  const result = tasks('thread 1 1 7', recv(GET), answer, 'thread 1 2 8', recv(GET));
  assert.deepEqual(doubts(result), [[SLOT, DOUBT.TASK_MOVED]]);
});

test('new tasks that never run while one number serves every connection', () => {
  const connection = (socket: number) => [
    recv(GET, { socket }),
    `send ${socket} plain ${hex(OK)}`,
    ...Array.from({ length: 8 }, (_, i) => spawn(100 + 10 * socket + i)),
  ];
  const result = tasks('thread 1 1 7', ...[1, 2, 3].flatMap(connection));
  assert.deepEqual(doubts(result)[0], [SLOT, DOUBT.TASK_KEPT]);
  assert.deepEqual(doubts(tasks('thread 1 1 7', recv(GET), recv(GET, { socket: 2 }))), []); // nothing is made
});

// ---- HTTP/2 ----

const RECEIVED = 5;
const NO_METHOD = 99;
const received = (id: number, wrong = false) =>
  recvHeaders(1, id, { ...RPC, ...(wrong ? { method: NO_METHOD } : {}) }).map((line) =>
    line.replace(/^(probe h2_recv_headers) (\d+)/, (_, name, plain) =>
      [name, BigInt(plain) | BigInt(cookie(RECEIVED))].join(' '),
    ),
  );
const oddNumbers = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + 2 * i);

test('frames of a proven site: every sixteenth is looked at, and all when one of those is wrong', () => {
  const right = oddNumbers(1, 256).flatMap((id) => received(id));
  const store = memory(storeOf(1), Buffer.alloc(8));
  const frames = (count: number) => oddNumbers(515, count).flatMap((id) => received(id, true));
  const dropped = (count: number) => run(store, ...right, ...frames(count)).counters.IMPLAUSIBLE ?? 0;
  assert.deepEqual([dropped(15), dropped(16), dropped(17), dropped(20)], [0, 1, 2, 5]);
  const all = run(store, ...right, ...frames(40));
  assert.deepEqual([...new Set(doubts(all).map(([site]) => site))], [RECEIVED]);
});
