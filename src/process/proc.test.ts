import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { procSource } from './proc.ts';

const source = procSource();
const children: ChildProcess[] = [];
let folder = '';

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'proc-test-'));
});
after(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

/** A sleeping copy of sleep(1) under a name of ours. */
async function start(name: string, environment: NodeJS.ProcessEnv = {}) {
  const file = join(folder, name);
  copyFileSync('/usr/bin/sleep', file);
  const child = spawn(file, ['60'], { env: environment, stdio: 'ignore' });
  children.push(child);
  await once(child, 'spawn');
  return { child, file, pid: child.pid ?? 0 };
}

function readRunning(pid: number) {
  const reading = source.read(pid);
  assert.equal(reading.kind, 'process');
  return reading.process;
}

test('this very process', () => {
  const own = readRunning(process.pid);
  assert.equal(own.executable.path, process.execPath);
  assert.equal(own.executable.inode, statSync(process.execPath).ino);
  assert.equal(own.executable.device, statSync(process.execPath).dev);
  const sinceBoot = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
  const started = (sinceBoot - process.uptime()) * 100;
  assert(Math.abs(started - own.startTicks) < 200, `${started} is about ${own.startTicks}`);
  assert(source.pids().includes(process.pid));
  assert.equal(source.details(process.pid)?.uid, process.geteuid?.());
  assert.equal(source.details(process.pid)?.commandLine[0]?.includes('node'), true);
});

test('command line, environment, mappings', async () => {
  const { pid, file } = await start('plain', { OTEL_SERVICE_NAME: 'shop' });
  const details = source.details(pid);
  assert.deepEqual(details?.commandLine, [file, '60']);
  assert.deepEqual([...(details?.environment ?? [])], [['OTEL_SERVICE_NAME', 'shop']]);
  assert.match(details?.mountNamespace ?? '', /^mnt:\[\d+\]$/);
  const code = source.mappings(pid).find((mapping) => mapping.executable && mapping.path === file);
  assert.equal(statSync(code?.openPath ?? '').ino, statSync(file).ino);
});

test('an executable replaced while it runs is still the one that runs', async () => {
  const { pid, file } = await start('replaced');
  const inode = statSync(file).ino;
  copyFileSync('/usr/bin/sleep', `${file}.new`);
  renameSync(`${file}.new`, file);
  const { executable } = readRunning(pid);
  assert.deepEqual([executable.path, executable.deleted, executable.name], [file, true, 'replaced']);
  assert.equal(executable.inode, inode);
  assert.notEqual(statSync(file).ino, inode);
  assert.equal(statSync(executable.openPath).ino, inode);
  const code = source.mappings(pid).find((mapping) => mapping.executable && mapping.path === file);
  assert.equal(code?.deleted, true);
});

test('a file whose name ends in (deleted) is not deleted', async () => {
  const { pid, file } = await start('odd (deleted)');
  const { executable } = readRunning(pid);
  assert.deepEqual([executable.path, executable.deleted], [file, false]);
});

test('started through a symbolic link: the real path', async () => {
  const { file } = await start('real');
  const link = join(folder, 'link');
  symlinkSync(file, link);
  const child = spawn(link, ['60'], { stdio: 'ignore' });
  children.push(child);
  await once(child, 'spawn');
  assert.equal(readRunning(child.pid ?? 0).executable.path, file);
});

test('a zombie, an ended process and one that never was are gone', async () => {
  const { child, pid } = await start('ending');
  // Node reaps on its event loop; without a turn of it the child stays a zombie.
  process.kill(pid, 'SIGKILL');
  const deadline = Date.now() + 5000;
  while (source.read(pid).kind !== 'gone' && Date.now() < deadline);
  assert.deepEqual(source.read(pid), { kind: 'gone' });
  await once(child, 'exit');
  assert.deepEqual(source.read(pid), { kind: 'gone' });
  assert.equal(source.details(pid), undefined);
  assert.deepEqual(source.mappings(pid), []);
  assert.deepEqual(source.read(4_194_304), { kind: 'gone' });
});
