import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Scratch } from './support/scratch.ts';
import { runInVm } from './support/vm.ts';

/** The kernel of Debian 13 and of the backports of Debian 12. */
const KERNEL = '6.12';
/** Four minutes by itself, fourteen beside other tests, which come first. */
const TIMEOUT_MS = 2_400_000;

test('every program is loaded; trace context in requests over rustls: 5,000 of 5,000 are answered as without', {
  timeout: TIMEOUT_MS + 60_000,
}, async (t) => {
  using scratch = new Scratch();
  const { code, output } = await runInVm(scratch, {
    kernel: KERNEL,
    programs: ['client12', 'client11', 'load'],
    command:
      'node --test --test-concurrency=1 --test-reporter=tap dist/e2e/vm/programs.js dist/e2e/vm/tls-injection.js',
    timeoutMs: TIMEOUT_MS,
  });
  assert.equal(code, 0, output.slice(-4000));
  for (const [line] of output.matchAll(/\d+ of \d+ requests answered.*/g)) t.diagnostic(line.trim());
});

test('under kernel lockdown nothing is written, and the agent says why', { timeout: 1_260_000 }, async () => {
  using scratch = new Scratch();
  const { code, output } = await runInVm(scratch, {
    kernel: KERNEL,
    parameters: 'lockdown=integrity',
    programs: ['client12'],
    command: [
      'node bin/otel-rust-agent doctor',
      'node bin/otel-rust-agent run --inject-tls --exporter none --duration 1 --exe /app/programs/client12',
    ].join('\n'),
    timeoutMs: 1_200_000,
  });
  assert.equal(code, 0, output.slice(-4000));
  const refusal = 'this kernel refuses bpf_probe_write_user, as under kernel lockdown \\(integrity\\)';
  assert.match(output, new RegExp(`trace context under TLS +ok +not possible: ${refusal}`));
  assert.match(output, new RegExp(`no trace context is written into requests under TLS: ${refusal}`));
});
