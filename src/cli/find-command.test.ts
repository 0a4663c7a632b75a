import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { UserError } from '../base/errors.ts';
import { findCommand } from './find-command.ts';

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'find-command-test-')));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, 'bin/sub'), { recursive: true });
writeFileSync(join(folder, 'bin/shop'), '');
chmodSync(join(folder, 'bin/shop'), 0o755);
writeFileSync(join(folder, 'bin/data'), '');
symlinkSync('shop', join(folder, 'bin/alias'));

const rejects = (name: string, message: RegExp) =>
  assert.throws(
    () => findCommand(name, `${folder}/bin`, folder),
    (error) => error instanceof UserError && message.test(error.message),
  );

test('by path, relative path, PATH and symbolic link', () => {
  const shop = join(folder, 'bin/shop');
  assert.equal(findCommand(shop, '', '/'), shop);
  assert.equal(findCommand('./bin/shop', '', folder), shop);
  assert.equal(findCommand('shop', `/nowhere:${folder}/bin`, '/'), shop);
  assert.equal(findCommand('alias', 'bin', folder), shop);
});

test('what cannot be started', () => {
  rejects('nothing', /no such program in PATH$/);
  rejects('data', /no such program in PATH$/);
  rejects('./bin/nothing', /no such file$/);
  rejects('./bin/data', /not executable$/);
  rejects('./bin/sub', /not a file$/);
});
