import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runCommandLine } from './main.ts';
import { readVersions } from './version.ts';

const PROGRAM = fileURLToPath(new URL('../../../bin/otel-rust-agent', import.meta.url));

async function runs(...argv: string[]) {
  const seen = { out: '', err: '' };
  const code = await runCommandLine(argv, {
    out: (text) => {
      seen.out += text;
    },
    err: (text) => {
      seen.err += text;
    },
  });
  return { code, ...seen };
}

test('help and version', async () => {
  assert.match((await runs('--help')).out, /^Zero-code OpenTelemetry/);
  assert.match((await runs('plan', '--help')).out, /^Usage: otel-rust-agent plan /);
  const version = await runs('--version');
  assert.deepEqual(version, { code: 0, out: `otel-rust-agent ${readVersions().agent}\n`, err: '' });
});

test('bad input: one line and exit code 2', async () => {
  for (const argv of [['--frobnicate'], ['--exe'], ['inspect'], ['frobnicate'], ['--', '/no/such/program']]) {
    const { code, out, err } = await runs(...argv);
    assert.deepEqual([code, out], [2, ''], argv.join(' '));
    assert.match(err, /^otel-rust-agent: [^\n]+\n$/);
  }
});

test('run without anything to trace', () => {
  const { OTEL_RUST_AUTO_TARGET_EXE, OTEL_RUST_AUTO_TARGET_PID, OTEL_TARGET_EXE, OTEL_TARGET_PID, ...env } =
    process.env;
  const { status, stderr } = spawnSync(PROGRAM, [], { encoding: 'utf8', env });
  assert.equal(status, 2);
  assert.match(stderr, /^otel-rust-agent: Nothing to trace: give --exe, --pid or -- <command>$/m);
});

test('output into a closed pipe or a full disk', () => {
  const shell = (line: string) => spawnSync('bash', ['-c', line, PROGRAM], { encoding: 'utf8' });
  assert.equal(shell('set -o pipefail; "$0" --help | true').status, 0);
  const full = shell('"$0" --help > /dev/full');
  assert.deepEqual(
    [full.status, /^otel-rust-agent: Cannot write to stdout: ENOSPC/.test(full.stderr)],
    [1, true],
  );
});

test('the installed program: exit code, and help without loading what it does not need', () => {
  const bad = spawnSync(PROGRAM, ['--frobnicate'], { encoding: 'utf8' });
  assert.deepEqual([bad.status, bad.stdout], [2, '']);
  assert.match(bad.stderr, /^otel-rust-agent: Unknown option '--frobnicate'/);
  const loaded = spawnSync(process.execPath, [PROGRAM, '--help'], {
    encoding: 'utf8',
    env: { ...process.env, NODE_DEBUG: 'esm' },
  });
  assert.equal(loaded.status, 0);
  for (const heavy of ['koffi', '@opentelemetry', 'iced-x86', 'gecko-profiler']) {
    assert(!loaded.stderr.includes(heavy), heavy);
  }
  assert(loaded.stderr.includes('help.js'), 'the debug output names what is loaded');
});
