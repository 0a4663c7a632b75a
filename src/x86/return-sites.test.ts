import assert from 'node:assert/strict';
import test from 'node:test';
import { svma } from '../base/address.ts';
import { returnSites } from './return-sites.ts';

const code = (...bytes: readonly number[]) => ({ svma: svma(0x1000), bytes: Uint8Array.from(bytes) });
const ret = (offset: number) => ({ offset, instruction: 'ret', cost: 'single-stepped' });

test('every return of a function, also behind others and after a call', () => {
  // test edi, edi; je +1; ret; call …; ret
  const bytes = [0x85, 0xff, 0x74, 1, 0xc3, 0xe8, 0, 0, 0, 0, 0xc3];
  assert.deepEqual(returnSites(code(...bytes)), [ret(4), ret(10)]);
  assert.deepEqual(
    returnSites(code(0xb8, 0xc3, 0xc3, 0xc3, 0xc3, 0xc3)),
    [ret(5)],
    'a constant holds no return',
  );
});

test('an exit that is no return: why', () => {
  assert.deepEqual(returnSites(code(0xe9, 0x10, 0, 0, 0, 0xc3)), { reason: 'jmp 0x1015 leaves it' });
  assert.deepEqual(returnSites(code(0x74, 0xf0, 0xc3)), { reason: 'je 0xff2 leaves it' });
  assert.deepEqual(returnSites(code(0x0f, 0x0b)), { reason: 'it never returns' });
  assert.deepEqual(returnSites(code(0x06, 0xc3)), {
    reason: 'its byte 0 is not the start of an instruction',
  });
});
