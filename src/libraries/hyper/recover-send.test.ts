import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callTo, loadAddress, type Part, programOf, RET } from '../../recover/program.testing.ts';
import { trySend } from './recover-send.ts';

const REGISTRY = '/cargo/registry/src/index.crates.io-0/';
const DISPATCH = `${REGISTRY}hyper-1.12.0/src/client/dispatch.rs`;
const OTHER = `${REGISTRY}hyper-1.12.0/src/client/conn/http1.rs`;
const [SEND, PANIC] = [0x1000, 0x1200];
const [DISPATCH_TEXT, OTHER_TEXT, LOCATIONS] = [0x8000, 0x8100, 0x9000];
const word = (line: number) => line + 9 * 0x1_0000_0000;
/** Sender::try_send, and a line of another file. */
const [OWN_LINE, OTHER_LINE] = [LOCATIONS, LOCATIONS + 24];
const DATA = new Map<number, readonly number[] | string>([
  [DISPATCH_TEXT, DISPATCH],
  [OTHER_TEXT, OTHER],
  [LOCATIONS, [DISPATCH_TEXT, DISPATCH.length, word(115), OTHER_TEXT, OTHER.length, word(10)]],
]);

const RESULT: Part = [0x48, 0x89, 0x17]; // mov [rdi], rdx
const SENDER: Part = [0x48, 0x8b, 0x4e, 0x08, 0x48, 0x8b, 0x46, 0x10]; // mov rcx, [rsi + 8]; mov rax, [rsi + 16]
const FUTURE: Part = [0x48, 0x8b, 0x8e, 0x80, 0, 0, 0]; // mov rcx, [rsi + 0x80]

const recovered = (...parts: readonly Part[]) => {
  const answer = trySend(
    programOf(
      new Map([
        [SEND, [...parts, loadAddress(OWN_LINE), callTo(PANIC), RET]],
        [PANIC, [RET]],
      ]),
      DATA,
    ),
  );
  return 'reason' in answer ? answer.reason : answer.found.map(({ svma }) => svma);
};

test('its own line, and a Sender behind rsi', () => {
  assert.deepEqual(recovered(RESULT, SENDER), [SEND]);
});

test('what has it inside is not it', () => {
  assert.match(
    String(recovered(RESULT, SENDER, FUTURE)),
    /inlined into 1 other/,
    'something larger behind rsi',
  );
  assert.match(String(recovered(SENDER)), /inlined into 1 other/, 'no request');
  const other = recovered(RESULT, SENDER, loadAddress(OTHER_LINE), callTo(PANIC));
  assert.match(String(other), /inlined into 1 other/, 'a line from elsewhere');
});
