import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callTo, loadAddress, POP_RBX, PUSH_RBX, programOf, RET } from './program.testing.ts';

const PATH = '/cargo/registry/src/index.crates.io-0/h2-0.3.27/src/proto/streams/recv.rs';
const [FIRST, SECOND, PANIC, PANIC_FMT] = [0x1000, 0x1100, 0x1200, 0x1300];
const [TEXT, LOCATION] = [0x8000, 0x9000];
const data = new Map<number, readonly number[] | string>([
  [TEXT, PATH],
  [LOCATION, [TEXT, PATH.length, 271 + 13 * 0x1_0000_0000]],
]);

test('a panic that is a function of its own is where it is called', () => {
  const functions = new Map([
    [FIRST, [PUSH_RBX, callTo(PANIC)]],
    [SECOND, [PUSH_RBX, POP_RBX, RET]],
    [PANIC, [loadAddress(LOCATION), callTo(PANIC_FMT)]],
    [PANIC_FMT, [RET]],
  ]);
  const program = programOf(functions, data);
  const found = program.functionsOf('h2', /recv\.rs$/);
  assert.deepEqual(
    found.map(({ svma }) => svma),
    [FIRST],
  );
  const lines = found.flatMap((one) => program.locationsIn(one)).map(({ location }) => location.line);
  assert.deepEqual(lines, [271]);
});

test('a function that may return keeps its panic location', () => {
  const returns = new Map([
    [FIRST, [PUSH_RBX, callTo(PANIC)]],
    [PANIC, [loadAddress(LOCATION), callTo(PANIC_FMT), RET]],
    [PANIC_FMT, [RET]],
  ]);
  const found = programOf(returns, data).functionsOf('h2', /recv\.rs$/);
  assert.deepEqual(
    found.map(({ svma }) => svma),
    [PANIC],
  );
});

test('a panic that nothing calls keeps it, too', () => {
  const alone = new Map([
    [PANIC, [loadAddress(LOCATION), callTo(PANIC_FMT)]],
    [PANIC_FMT, [RET]],
  ]);
  const found = programOf(alone, data).functionsOf('h2', /recv\.rs$/);
  assert.deepEqual(
    found.map(({ svma }) => svma),
    [PANIC],
  );
});
