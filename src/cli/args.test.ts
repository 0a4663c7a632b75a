import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UserError } from '../base/errors.ts';
import { parseArguments, type RunFlags } from './args.ts';

const runFlags = (...words: string[]): RunFlags => {
  const command = parseArguments(words);
  assert(command.kind === 'run');
  return command.flags;
};
const rejects = (words: string[], message: RegExp) =>
  assert.throws(
    () => parseArguments(words),
    (error) => error instanceof UserError && message.test(error.message) && !error.message.includes('\n'),
  );

test('run is the default command', () => {
  assert.deepEqual(parseArguments(['--pid', '7']), parseArguments(['run', '--pid=7']));
  assert.equal(parseArguments([]).kind, 'run');
});

test('every run flag arrives', () => {
  const flags = runFlags(
    ...['--exe', '/bin/a', '--exe=./b*', '--pid', '1', '--pid', '4194304', '--tier', 'library'],
    '--trace-instrumented',
    '--inject-tls',
    ...[
      '--exporter',
      'otlp,console',
      '--endpoint',
      'http://h:4318',
      '--protocol',
      'grpc',
      '--headers',
      'a=b',
    ],
    ...[
      '--service-name',
      'shop',
      '--sampler',
      'traceidratio',
      '--sampler-arg',
      '0.25',
      '--log-level',
      'debug',
    ],
    ...['--status', 'off', '--console-format', 'tree', '--duration', '1.5', '--', 'shop', '--pid', '--', 'x'],
  );
  assert.deepEqual(flags, {
    exe: ['/bin/a', './b*'],
    pid: ['1', '4194304'],
    tier: 'library',
    traceInstrumented: true,
    injectTls: true,
    exporter: 'otlp,console',
    endpoint: 'http://h:4318',
    protocol: 'grpc',
    headers: 'a=b',
    serviceName: 'shop',
    sampler: 'traceidratio',
    samplerArg: '0.25',
    logLevel: 'debug',
    status: 'off',
    consoleFormat: 'tree',
    durationSeconds: 1.5,
    command: ['shop', '--pid', '--', 'x'],
  });
});

test('flags not given stay undefined', () => {
  const { exe, pid, command, status, ...rest } = runFlags();
  assert.deepEqual([exe, pid, command, status], [[], [], [], 'auto']);
  assert.deepEqual(new Set(Object.values(rest)), new Set([undefined]));
});

test('inspect and plan take one file, also one that looks like an option', () => {
  assert.deepEqual(parseArguments(['inspect', 'a.out', '--json']), {
    kind: 'inspect',
    file: 'a.out',
    json: true,
  });
  assert.deepEqual(parseArguments(['plan', '--', '--odd']), { kind: 'plan', file: '--odd', json: false });
  rejects(['inspect'], /^No file given/);
  rejects(['plan', 'a', 'b'], /^Unexpected argument 'b'/);
  rejects(['doctor', 'a'], /^Unexpected argument 'a'/);
});

test('help and version', () => {
  assert.deepEqual(parseArguments(['--help']), { kind: 'help', topic: undefined });
  assert.deepEqual(parseArguments(['help', 'plan']), { kind: 'help', topic: 'plan' });
  assert.deepEqual(parseArguments(['run', '-h']), { kind: 'help', topic: 'run' });
  assert.deepEqual(parseArguments(['--pid', '3', '--help']), { kind: 'help', topic: 'run' });
  assert.deepEqual(parseArguments(['--version']), { kind: 'version' });
  rejects(['help', 'me'], /^No help for 'me'/);
});

test('a word of the started program is never taken for ours', () => {
  assert.deepEqual(runFlags('--', '--help').command, ['--help']);
  assert.deepEqual(runFlags('--', '--version').command, ['--version']);
});

test('what is wrong is said in one line', () => {
  rejects(['--frobnicate'], /^Unknown option '--frobnicate' \(see otel-rust-agent run --help\)$/);
  rejects(['--exe'], /argument missing/);
  rejects(['--exe', '--pid', '3'], /ambiguous/);
  rejects(['plan', '--json=yes', 'f'], /does not take an argument/);
  rejects(['frobnicate'], /^Unknown command 'frobnicate': expected run, inspect, plan, doctor$/);
  rejects(['run', 'shop'], /goes behind --$/);
  rejects(['run', '--'], /^No command behind --$/);
  rejects(['--status', 'maybe'], /^Invalid --status 'maybe': expected on, off, auto$/);
  rejects(['--exe='], /^Empty value for --exe$/);
  rejects(['--endpoint='], /^Empty value for --endpoint$/);
  for (const duration of ['0', '-1', '1e3', 'soon', '2147484']) {
    rejects([`--duration=${duration}`], /^Invalid --duration/);
  }
});
