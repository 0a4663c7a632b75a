import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { compileReplay } from './driver.ts';

test('structures that make no sense: nothing is read or written outside, records are well-formed', () => {
  const output = execFileSync(compileReplay(), ['--fuzz-streams', '500000', '1'], {
    encoding: 'utf8',
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
    timeout: 120_000,
  });
  assert.equal(output, '500000 inputs, streams seen\n');
});
