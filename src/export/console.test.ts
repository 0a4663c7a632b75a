import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SpanRecord, STATUS, type TracedProcess } from '../spans/span.ts';
import { painter, renderLine } from './console-line.ts';
import { renderTree } from './console-tree.ts';
import { createExport } from './export.ts';
import { recordLog, until } from './test-support/sink.ts';
import { flat, makeSpan, testSettings } from './test-support/spans.ts';

const plain = painter(false);

/** Without the time of day, which depends on the time zone. */
function lines(spans: readonly SpanRecord[]): string[] {
  return renderTree(spans, plain).map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3} /, '[time] ').trimEnd());
}

test('one line a span', () => {
  const line = renderLine(makeSpan(7), plain);
  assert.match(line, /^\d\d:\d\d:\d\d\.123 shop /);
  assert.equal(
    line.slice(13),
    'shop      GET /users/{id}       200    0.543 ms  path=/users/1234?page=2&sort=name client=10.1.2.3  0af76519:00f067aa',
  );
});

test('an error is red on a terminal and says what happened', () => {
  const attributes = flat({ 'http.request.method': 'GET', 'url.path': '/pay', 'error.type': 'panic' });
  const span = makeSpan(1, { name: 'GET', status: STATUS.error, statusMessage: 'boom', attributes });
  assert.match(renderLine(span, plain), /GET {19}-\s+0\.543 ms {2}error=panic message=boom path=\/pay/);
  assert.match(renderLine(span, painter(true)), /\p{Cc}\[31mshop .* ms\p{Cc}\[0m {2}error=panic/u);
  assert.doesNotMatch(renderLine(span, plain), /\p{Cc}/u);
});

test('a client span says where it went', () => {
  const attributes = flat({
    'url.full': 'http://a.example/b?c=d',
    'http.response.status_code': 404,
    'error.type': '404',
  });
  const line = renderLine(makeSpan(1, { kind: 2, name: 'GET', status: STATUS.error, attributes }), plain);
  assert.match(line, /shop {6}→ GET {17}404 +0\.543 ms {2}error=404 url=http:\/\/a\.example\/b\?c=d /);
});

test('a remote procedure call: its system, its method, its status by name', () => {
  for (const key of ['rpc.response.status_code', 'rpc.status_code']) {
    const attributes = flat({ 'rpc.system.name': 'grpc', 'rpc.method': 'Shop/Checkout', [key]: 'OK' });
    const line = renderLine(makeSpan(1, { name: 'Shop/Checkout', attributes }), plain);
    assert.equal(line.slice(13), 'shop      grpc Shop/Checkout    OK     0.543 ms  0af76519:00f067aa');
  }
  const unnamed = makeSpan(1, { name: 'grpc', kind: 2, attributes: flat({ 'rpc.system.name': 'grpc' }) });
  assert.match(renderLine(unnamed, plain), /shop {6}→ grpc {16}- {2}/);
});

test('control characters from the network are escaped', () => {
  const attributes = flat({ 'url.path': '/\x1b[2J\n\x9b' });
  assert.match(renderLine(makeSpan(1, { attributes }), plain), /path=\/\\x1b\[2J\\x0a\\x9b /);
});

const stock: TracedProcess = { pid: 2, resourceAttributes: { 'service.name': 'stock' } };
const short = flat({ 'http.response.status_code': 200 });
const at = (id: number, parent: number, startNanoseconds: number, overrides: Partial<SpanRecord> = {}) =>
  makeSpan(1, {
    spanId1: id,
    parentId0: parent === 0 ? 0 : 0x00f067aa,
    parentId1: parent,
    startNanoseconds,
    endNanoseconds: startNanoseconds + 2_000_000,
    attributes: short,
    ...overrides,
  });

test('a trace is a tree, parents before children, siblings by time', () => {
  const spans = [
    at(4, 2, 40, { process: stock, name: 'GET /a' }),
    at(3, 1, 30, { name: 'GET late', kind: 2 }),
    at(2, 1, 20, { name: 'GET early', kind: 2 }),
    at(1, 0, 10, { name: 'GET /root' }),
  ];
  assert.deepEqual(lines(spans), [
    '[time] shop      GET /root             200     2.00 ms  0af76519:00f067aa',
    '             ├─ shop      → GET early           200     2.00 ms',
    '             │  └─ stock     GET /a                200     2.00 ms',
    '             └─ shop      → GET late            200     2.00 ms',
  ]);
});

test('no span is left out for an unknown parent, its own id or a ring', () => {
  const named = (id: number, parent: number) => at(id, parent, id * 10, { name: `GET /${id}` });
  assert.deepEqual(lines([named(1, 99), named(2, 2), named(3, 4), named(4, 3)]), [
    '[time] trace 0af76519, from a caller that is not traced here',
    '             ├─ shop      GET /1                200     2.00 ms',
    '             ├─ shop      GET /2                200     2.00 ms',
    '             └─ shop      GET /3                200     2.00 ms',
    '                └─ shop      GET /4                200     2.00 ms',
  ]);
});

test('the console exporter prints what is added, and counts what it leaves out', async () => {
  const printed: string[] = [];
  const settings = testSettings({ OTEL_TRACES_EXPORTER: 'console' });
  const console = { print: (text: string) => printed.push(text), colour: false };
  const out = await createExport(settings, recordLog(), { console });
  for (let i = 0; i < 6_000; i++) out.sink.add(makeSpan(i));
  await until(() => printed.length > 0);
  out.sink.add(makeSpan(1));
  await out.shutdown();
  assert.equal(printed.join('').split('\n').length - 1, 5_001);
  assert.deepEqual([out.stats().printed, out.stats().droppedConsole], [5_001, 1_000]);
});

test('the tree waits until a trace is quiet, or for the end', async () => {
  const printed: string[] = [];
  const settings = testSettings({ OTEL_TRACES_EXPORTER: 'console', OTEL_RUST_AUTO_CONSOLE_FORMAT: 'tree' });
  const console = { print: (text: string) => printed.push(text), colour: false };
  const out = await createExport(settings, recordLog(), { console });
  out.sink.add(at(2, 1, 20));
  await new Promise((resolve) => setTimeout(resolve, 150));
  out.sink.add(at(1, 0, 10));
  await until(() => printed.length === 1);
  assert.match(printed[0] ?? '', /^.*\n +└─ .*\n$/);
  out.sink.add(at(3, 0, 30));
  await out.shutdown();
  assert.equal(printed.length, 2);
});
