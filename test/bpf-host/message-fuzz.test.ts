import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { compileReplay } from './driver.ts';

test('messages of any kind: nothing outside is read, and nothing but whole headers is added', () => {
  const output = execFileSync(compileReplay(), ['--fuzz-messages', '1000000', '1'], {
    encoding: 'utf8',
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
    timeout: 300_000,
  });
  assert.equal(output, '1000000 inputs, headers seen, fields seen\n');
});
