import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { UserError } from '../base/errors.ts';
import { fixture } from '../elf/fixtures.testing.ts';
import { inspect } from './inspect.ts';

const folder = mkdtempSync(join(tmpdir(), 'inspect-'));
after(() => rmSync(folder, { recursive: true }));

async function output(name: string, json: boolean): Promise<string> {
  const path = join(folder, name);
  writeFileSync(path, fixture(name));
  let text = '';
  const code = await inspect(path, { json }, (part) => {
    text += part;
  });
  assert.equal(code, 0);
  return text;
}

test('a report of a Rust program', async () => {
  const text = await output('rust-no-pie', false);
  assert.match(text, /^ {2}kind {10}executable at a fixed address, dynamically linked$/m);
  assert.match(
    text,
    /^ {2}rustc {9}1\.95\.0, commit 59807616e1fa2540724bfbac14d7976d7e4a3860 \(from \.comment: /m,
  );
  assert.match(text, /^ {2}functions {5}544 in \.symtab, 0 in \.dynsym$/m);
  assert.match(text, /^ {2}greeter-2 {7}1\.4\.0-rc\.1\+build\.5$/m);
  assert.match(text, /^ {2}gimli +0\.32\.3 +of the standard library$/m);
  assert.doesNotMatch(text, /undefined|NaN| +$/m);
});

test('of a program without symbols: what is found all the same', async () => {
  const text = await output('rust-stripped', false);
  assert.match(
    text,
    /^ {2}no symbols {4}1 of \d+ functions and variables that are asked for found without them$/m,
  );
  assert.doesNotMatch(await output('rust-no-pie', false), /no symbols/);
});

test('a program in another language is described too', async () => {
  const text = await output('c-pie', false);
  assert.match(text, /^ {2}Rust {10}no sign of it$/m);
  assert.match(text, /^crates: none named$/m);
});

test('--json has every fact; what is absent is null', async () => {
  const value: Record<string, unknown> = JSON.parse(await output('c-pie', true));
  assert.equal(value.isRust, false);
  assert.equal(value.rustc, null);
  assert.deepEqual(value.crates, []);
  assert.deepEqual(value.symbols, { symtab: 9, dynsym: 0, debugFile: 0, debugFilePath: null });
});

test('a file that is not ELF is a UserError', async () => {
  const path = join(folder, 'text');
  writeFileSync(path, 'hello');
  await assert.rejects(
    inspect(path, { json: false }, () => {}),
    UserError,
  );
});
