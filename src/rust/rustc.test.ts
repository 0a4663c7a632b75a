import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyRustcPaths, identifyRustc, scanRustcPaths } from './rustc.ts';
import { RUSTC_RELEASES } from './rustc-releases.ts';

const STABLE = '59807616e1fa2540724bfbac14d7976d7e4a3860';
const OTHER = '0123456789abcdef0123456789abcdef01234567';

function identify(comment: string, data: string) {
  const paths = emptyRustcPaths();
  scanRustcPaths(Buffer.from(data), paths);
  return identifyRustc(comment, paths);
}

test('version from .comment, commit from the paths', () => {
  const comment = 'GCC: (GNU) 9.5.0\0rustc version 1.95.0 (59807616e 2026-04-14)\0';
  assert.deepEqual(identify(comment, `/rustc/${STABLE}/library/core/src/fmt/mod.rs`), {
    version: '1.95.0',
    commit: STABLE,
    evidence: '.comment: rustc version 1.95.0 (59807616e 2026-04-14)',
  });
});

test('nightly and beta versions are kept whole', () => {
  assert.equal(
    identify('rustc version 1.97.0-nightly (36ba2c771 2026-05-01)', '')?.version,
    '1.97.0-nightly',
  );
});

test('of two compilers the one of the standard library is taken', () => {
  const comment = 'rustc version 1.93.1 (01f6ddf75 2026-02-11)\0rustc version 1.95.0 (59807616e 2026-04-14)';
  assert.equal(identify(comment, `/rustc/${STABLE}/`)?.version, '1.95.0');
  assert.equal(identify(comment, '')?.version, '1.93.1');
});

test('a commit of another compiler is not mixed with the version', () => {
  const found = identify('rustc version 1.93.1 (01f6ddf75 2026-02-11)', `/rustc/${STABLE}/`);
  assert.equal(found?.version, '1.93.1');
  assert.equal(found?.commit, undefined);
});

test('without .comment the commit decides; an unknown one has no version', () => {
  assert.equal(identify('', `/rustc/${STABLE}/library`)?.version, '1.95.0');
  assert.deepEqual(identify('', `/rustc/${OTHER}/library`), {
    version: undefined,
    commit: OTHER,
    evidence: `/rustc/${OTHER}/`,
  });
  assert.equal(identify('', `/rustc/${OTHER}/ /rustc/${STABLE}/ /rustc/${STABLE}/`)?.commit, STABLE);
});

test('a distribution names the version in the path', () => {
  assert.equal(identify('', '/usr/src/rustc-1.63.0/library/std/src/lib.rs')?.version, '1.63.0');
  assert.equal(identify('', '/build/rustc-1.77.2-src/library/std/src/lib.rs')?.version, '1.77.2');
});

test('no sign of rustc', () => {
  assert.equal(identify('GCC: (GNU) 9.5.0', '/rustc/short/ rustc-1.2.3'), undefined);
});

test('the release table has full commits and versions', () => {
  for (const [commit, version] of Object.entries(RUSTC_RELEASES)) {
    assert.match(commit, /^[0-9a-f]{40}$/);
    assert.match(version, /^1\.\d+\.\d+$/);
  }
});
