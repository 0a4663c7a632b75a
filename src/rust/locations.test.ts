import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDataImage } from '../elf/data-image.ts';
import { parseElf } from '../elf/elf.ts';
import { fixture } from '../elf/fixtures.testing.ts';
import { bytesSource } from '../elf/source.ts';
import { panicLocations } from './locations.ts';
import { sourceFile } from './source-path.ts';

const REGISTRY = '/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f';

test('paths of sources, wherever the crate lies', () => {
  const hyper = { crate: 'hyper', version: '1.12.0', file: 'src/proto/h1/role.rs' };
  assert.deepEqual(sourceFile(`${REGISTRY}/hyper-1.12.0/src/proto/h1/role.rs`), hyper);
  assert.deepEqual(sourceFile('hyper-1.12.0/src/proto/h1/role.rs'), hyper);
  assert.deepEqual(sourceFile('/cargo/registry/src/x/hyper-1.12.0/src/proto/h1/role.rs'), hyper);
  assert.deepEqual(sourceFile('external/crates__hyper-1.12.0/src/proto/h1/role.rs')?.version, '1.12.0');
  assert.deepEqual(sourceFile('/build/vendor/hyper/src/lib.rs'), {
    crate: 'hyper',
    version: undefined,
    file: 'src/lib.rs',
  });
  assert.deepEqual(sourceFile('/root/.cargo/git/checkouts/h2-0123456789abcdef/0a1b2c3/h2/src/server.rs'), {
    crate: 'h2',
    version: undefined,
    file: 'src/server.rs',
  });
  assert.deepEqual(sourceFile('/rustc/0123/library/core/src/option.rs')?.crate, 'core');
  assert.equal(sourceFile('src/main.rs'), undefined);
  assert.equal(sourceFile('/home/me/hyper/src/main.rs'), undefined);
  assert.equal(sourceFile('/my-app-1.0.0/build.rs'), undefined);
});

test('the standard library is in every program, with its lines', () => {
  for (const name of ['rust-stripped', 'rust-static-musl', 'rust-no-pie', 'rust-pie-legacy']) {
    const locations = panicLocations(readDataImage(parseElf(bytesSource(fixture(name)), name)));
    const std = locations.filter(({ source }) => source?.crate === 'std' || source?.crate === 'core');
    assert.ok(std.length > 50, `${name}: ${std.length}`);
    assert.ok(locations.every(({ line, column }) => line > 0 && column > 0));
  }
});

test('a C program has none', () => {
  for (const name of ['c-pie', 'c-no-pie'])
    assert.deepEqual(panicLocations(readDataImage(parseElf(bytesSource(fixture(name)), name))), []);
});
