import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  openSync,
  readFileSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { test } from 'node:test';
import { agentCommand } from './support/agent.ts';
import { agentProgram, fixture } from './support/built.ts';
import { Child } from './support/child.ts';
import { Scratch } from './support/scratch.ts';
import { copyProgram } from './support/target.ts';

interface Case {
  readonly name: string;
  readonly args: (scratch: Scratch) => readonly string[];
  /** Must occur in the one line on stderr. */
  readonly says: RegExp;
  readonly env?: Readonly<Record<string, string>>;
}

const CASES: readonly Case[] = [
  { name: 'an unknown option', args: () => ['run', '--frobnicate'], says: /--frobnicate/ },
  { name: 'an unknown command', args: () => ['frobnicate'], says: /frobnicate/ },
  { name: 'no such file', args: (s) => ['run', '--exe', s.file('absent')], says: /absent/ },
  { name: 'no such file, inspect', args: (s) => ['inspect', s.file('absent')], says: /absent/ },
  { name: 'no such file, plan', args: (s) => ['plan', s.file('absent')], says: /absent/ },
  { name: 'no such process', args: () => ['run', '--pid', '4194303'], says: /4194303/ },
  { name: 'a process id that is none', args: () => ['run', '--pid', 'many'], says: /many/ },
  { name: 'a tier that is none', args: () => ['run', '--tier', 'moon', '--pid', '1'], says: /moon/ },
  { name: 'not an ELF file', args: (s) => ['run', '--exe', textFile(s)], says: /ELF/ },
  { name: 'not an ELF file, inspect', args: (s) => ['inspect', textFile(s)], says: /ELF/ },
  { name: 'an empty file', args: (s) => ['inspect', emptyFile(s)], says: /ELF|empty/i },
  { name: 'a folder', args: (s) => ['inspect', s.path], says: /director|folder|file/i },
  { name: 'a 32-bit file', args: (s) => ['inspect', patched(s, 4, 1)], says: /32-bit/ },
  // e_machine 183: AArch64.
  {
    name: 'a foreign architecture',
    args: (s) => ['inspect', patched(s, 18, 183)],
    says: /x86.64|AArch64|183/i,
  },
  { name: 'a big-endian file', args: (s) => ['inspect', patched(s, 5, 2)], says: /endian/i },
  { name: 'a truncated file', args: (s) => ['inspect', truncated(s)], says: /./ },
  { name: 'not a Rust program', args: () => ['run', '--exe', '/bin/sleep'], says: /Rust/ },
  {
    name: 'a command that does not exist',
    args: (s) => ['run', '--', s.file('absent')],
    says: /absent/,
  },
  {
    name: 'an unreadable certificate',
    args: (s) => ['run', '--exe', copyProgram(s, 'axum08'), '--endpoint', 'https://127.0.0.1:1'],
    says: /certificate/i,
    env: { OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere/ca.pem' },
  },
];

const TIMEOUT_MS = 10_000;

for (const { name, args, says, env } of CASES) {
  test(`bad input: ${name}`, async () => {
    using scratch = new Scratch();
    using agent = agentCommand(args(scratch), env ? { env } : {});
    assertRefused(agent, await endOf(agent), says);
  });
}

test('bad input: a Rust program without any library we know lists what it holds', async () => {
  using agent = agentCommand(['run', '--tier', 'library', '--exe', fixture('stdhttp')]);
  assertRefused(agent, await endOf(agent), /std|librar/i);
});

test('bad input: not root', async () => {
  using scratch = new Scratch();
  chmodSync(scratch.path, 0o755);
  const executable = copyProgram(scratch, 'axum08');
  const command = [process.execPath, agentProgram, 'run', '--exe', executable];
  using agent = new Child('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', ...command]);
  assertRefused(agent, await endOf(agent), /root|CAP_/);
});

async function endOf(agent: Child): Promise<number | null> {
  const timer = setTimeout(() => agent.process.kill('SIGKILL'), TIMEOUT_MS);
  const { code } = await agent.ended;
  clearTimeout(timer);
  return code;
}

/** Exit code 2, one line on stderr that says what was found, nothing on stdout, no stack trace. */
function assertRefused(agent: Child, code: number | null, says: RegExp): void {
  assert.equal(code, 2, `exit code ${code}: ${agent.stderr}`);
  assert.equal(agent.stdout, '');
  assert.match(agent.stderr, /^[^\n]+\n$/);
  assert.match(agent.stderr, says);
}

function textFile(scratch: Scratch): string {
  const path = scratch.file('text');
  writeFileSync(path, '#!/bin/sh\nexit 0\n', { mode: 0o755 });
  return path;
}

function emptyFile(scratch: Scratch): string {
  const path = scratch.file('empty');
  writeFileSync(path, '');
  return path;
}

/** A target program with one byte of its ELF header changed. */
function patched(scratch: Scratch, offset: number, value: number): string {
  const path = copyProgram(scratch, 'stdhttp');
  const file = openSync(path, 'r+');
  writeSync(file, Uint8Array.of(value), 0, 1, offset);
  closeSync(file);
  return path;
}

function truncated(scratch: Scratch): string {
  const path = copyProgram(scratch, 'stdhttp');
  truncateSync(path, Math.floor(readFileSync(path).length / 2));
  return path;
}
