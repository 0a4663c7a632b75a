import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Check } from '../kernel/checks.ts';
import { doctor, renderChecks } from './doctor.ts';

const good: Check = { id: 'a', title: 'ring buffer', verdict: 'ok', found: 'works', meaning: '' };
const reduced: Check = {
  id: 'b',
  title: 'link',
  verdict: 'reduced',
  found: 'EINVAL (22)',
  meaning: 'Slower at start',
};
const fatal: Check = { id: 'c', title: 'CAP_BPF', verdict: 'fatal', found: 'no', meaning: 'Run as root' };

test('the table aligns, explains what is not well, and ends in a verdict', () => {
  assert.equal(
    renderChecks([good, reduced]),
    [
      'ring buffer  ok       works',
      'link         REDUCED  EINVAL (22)',
      '             → Slower at start',
      '',
      'Tracing works, with less: link',
      '',
    ].join('\n'),
  );
  assert.match(renderChecks([good]), /\nTracing works here\n$/);
  assert.match(renderChecks([good, reduced, fatal]), /\nTracing can not work here: CAP_BPF\n$/);
});

test('the exit code and the JSON agree', async () => {
  let text = '';
  const code = await doctor({ json: true }, (chunk) => {
    text += chunk;
  });
  const result = JSON.parse(text) as { readonly works: boolean; readonly checks: readonly Check[] };
  assert.equal(code, result.works ? 0 : 1);
  assert.equal(result.works, !result.checks.some((check) => check.verdict === 'fatal'));
  assert.ok(result.checks.some((check) => check.id === 'uprobe_multi'));
});
