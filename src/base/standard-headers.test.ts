import assert from 'node:assert/strict';
import { test } from 'node:test';
import { standardHeaderName, standardHeaderNumber } from './standard-headers.ts';

test('names and numbers, counted in the source of http 1.5.0', () => {
  const known = [
    [0, 'accept'],
    [18, 'cache-status'],
    [29, 'content-type'],
    [67, 'te'],
    [80, 'x-xss-protection'],
  ] as const;
  for (const [number, name] of known) {
    assert.equal(standardHeaderName(number), name);
    assert.equal(standardHeaderNumber(name), number);
  }
  assert.equal(standardHeaderName(81), undefined);
  assert.equal(standardHeaderNumber('grpc-status'), undefined);
});

test('every name stands once', () => {
  for (let number = 0; number < 81; number++)
    assert.equal(standardHeaderNumber(standardHeaderName(number) ?? ''), number);
});
