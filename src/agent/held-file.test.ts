import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { identify } from '../process/proc.ts';
import { HeldFile, ReplacedError } from './held-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'held-file-'));
after(() => rmSync(folder, { recursive: true }));

function hold(name: string): { readonly path: string; readonly file: HeldFile } {
  const path = join(folder, name);
  writeFileSync(path, 'old');
  const identity = identify(path);
  assert(identity);
  return { path, file: new HeldFile(path, identity) };
}

/** Another process: one's own writes break no lease of a thread that waits for them. */
const write = (path: string): ChildProcess => spawn('sh', ['-c', 'echo new > "$0"', path]);

test('a writer waits until the file is let go', async () => {
  const { path, file } = hold('waits');
  const notice = new Promise<void>((resolve) => {
    file.onWrite = resolve;
  });
  const writer = write(path);
  const written = once(writer, 'exit');
  await notice;
  assert.equal(file.isChanged, true);
  await sleep(100);
  assert.deepEqual([writer.exitCode, readFileSync(file.path, 'utf8')], [null, 'old']);
  file[Symbol.dispose]();
  assert.deepEqual(await written, [0, null]);
  assert.equal(readFileSync(path, 'utf8'), 'new\n');
});

test('where nobody minds he waits for nobody', async () => {
  const { path, file } = hold('free');
  assert.deepEqual(await once(write(path), 'exit'), [0, null]);
  assert.equal(file.isChanged, true);
  file[Symbol.dispose]();
});

test('of several files at once each is told', async () => {
  const held = ['a', 'b', 'c'].map(hold);
  const told = held.map(
    ({ file }) =>
      new Promise<void>((resolve) => {
        file.onWrite = () => {
          file[Symbol.dispose]();
          resolve();
        };
      }),
  );
  const writers = held.map(({ path }) => once(write(path), 'exit'));
  await Promise.all(told);
  for (const writer of writers) assert.deepEqual(await writer, [0, null]);
});

test('a new time stamp, or mode, is no change', () => {
  const { path, file } = hold('touched');
  utimesSync(path, 1, 1);
  chmodSync(path, 0o600);
  assert.equal(file.isChanged, false);
  file[Symbol.dispose]();
});

test('a path that leads elsewhere, or nowhere, by now', () => {
  const { path, file } = hold('one');
  const other = hold('other');
  assert.equal(file.isAt(path), true);
  assert.equal(file.isAt(other.path), false);
  assert.equal(file.isAt(join(folder, 'none')), false);
  const identity = identify(path);
  assert(identity);
  assert.throws(() => new HeldFile(other.path, identity), ReplacedError);
  assert.throws(() => new HeldFile(join(folder, 'none'), identity), ReplacedError);
  for (const held of [file, other.file]) held[Symbol.dispose]();
});
