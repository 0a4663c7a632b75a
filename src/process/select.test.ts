import assert from 'node:assert/strict';
import { mkdtempSync, realpathSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { UserError } from '../base/errors.ts';
import type { Process } from './process.ts';
import { type RecordedProcess, recordedSource } from './recorded.ts';
import { createSelection, selectTargets, type Wanted } from './select.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'select-test-')));
after(() => rmSync(folder, { recursive: true }));

const recorded = (pid: number, path: string, identity = { device: 1, inode: pid }): RecordedProcess => ({
  pid,
  startTicks: pid * 10,
  executable: {
    path,
    name: path.slice(path.lastIndexOf('/') + 1),
    deleted: false,
    openPath: '',
    ...identity,
  },
});

const processes = new Map<
  number,
  Parameters<typeof recordedSource>[0] extends ReadonlyMap<number, infer T> ? T : never
>([
  [2, { kind: 'kernel-thread' }],
  [5, recorded(5, '/srv/shop/bin/shop')],
  [6, recorded(6, '/srv/bin/admin')],
  [7, recorded(7, '/only/in/container')],
  [8, { kind: 'unreadable', reason: 'EACCES: permission denied' }],
  [9, recorded(9, '/srv/bin/agent')],
]);
const source = recordedSource(processes);
const options = { cwd: '/srv', ownPid: 9 };

const selected = (wanted: Partial<Wanted>, from = source) =>
  selectTargets(createSelection({ exePatterns: [], pids: [], ...wanted }, from, options), from).map(
    (p) => p.pid,
  );
const rejects = (wanted: Partial<Wanted>, message: RegExp) =>
  assert.throws(
    () => selected(wanted),
    (error) => error instanceof UserError && message.test(error.message),
  );

test('globs, absolute and relative to the working directory, never the agent', () => {
  assert.deepEqual(selected({ exePatterns: ['/srv/**/bin/*'] }), [5, 6]);
  assert.deepEqual(selected({ exePatterns: ['bin/*'] }), [6]);
  assert.deepEqual(selected({ exePatterns: ['./../srv/b?n/*'] }), [6]);
  assert.deepEqual(selected({ exePatterns: ['/none/*'] }), []);
});

test('pids, together with patterns', () => {
  assert.deepEqual(selected({ pids: [5] }), [5]);
  assert.deepEqual(selected({ pids: [7, 5], exePatterns: ['bin/*'] }), [5, 6, 7]);
});

test('a later process with the same pid is another one', () => {
  const selection = createSelection({ exePatterns: [], pids: [5] }, source, options);
  const later: Process = { ...recorded(5, '/srv/shop/bin/shop'), startTicks: 51 };
  assert.equal(selection(recorded(5, '/other/after/exec')), true);
  assert.equal(selection(later), false);
});

test('a plain path also by symbolic link and after a rebuild', () => {
  const file = join(folder, 'real');
  const link = join(folder, 'link');
  writeFileSync(file, '');
  symlinkSync(file, link);
  const { dev: device, ino: inode } = statSync(file);
  const selection = createSelection({ exePatterns: [link], pids: [] }, source, options);
  assert.equal(selection(recorded(20, file, { device, inode })), true);
  assert.equal(selection(recorded(21, link, { device: 1, inode: 1 })), true);
  assert.equal(selection(recorded(22, join(folder, 'another'))), false);
});

test('a file whose name looks like a glob is that file', () => {
  const file = join(folder, 'shop[1]*');
  writeFileSync(file, '');
  const selection = createSelection({ exePatterns: [file], pids: [] }, source, options);
  assert.equal(selection(recorded(20, file)), true);
  assert.equal(selection(recorded(20, join(folder, 'shop1x'))), false);
});

test('a path that exists only in a container, while a program runs from it', () => {
  assert.deepEqual(selected({ exePatterns: ['/only/in/container'] }), [7]);
});

test('what can lead to nothing is a UserError', () => {
  rejects({ exePatterns: ['/no/such/file'] }, /^No such file: \/no\/such\/file$/);
  rejects({ exePatterns: [folder] }, /is not a regular file$/);
  rejects({ pids: [3] }, /^No such process: 3$/);
  rejects({ pids: [2] }, /kernel thread$/);
  rejects({ pids: [8] }, /^Cannot read process 8: EACCES/);
  rejects({ pids: [9] }, /the agent itself$/);
});
