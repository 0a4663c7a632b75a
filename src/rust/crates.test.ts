import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { scanCratePaths, sortCrates, startCrateScan } from './crates.ts';

function crates(text: string): readonly string[] {
  const scan = startCrateScan();
  scanCratePaths(Buffer.from(text, 'latin1'), scan);
  return sortCrates(scan.found.values()).map(({ name, version }) => `${name} ${version ?? '?'}`);
}

const INDEX = '/home/me/.cargo/registry/src/registry-1949cf8c6b5b557f';

test('registry paths', () => {
  assert.deepEqual(crates(`${INDEX}/hyper-1.12.0/src/proto/h1/role.rs`), ['hyper 1.12.0']);
  assert.deepEqual(crates(`${INDEX}/ring-0.17.8/crypto/limbs/limbs.c`), ['ring 0.17.8']);
  assert.deepEqual(crates(`/x/registry/src/github.com-1ecc6299db9ec823/h2-0.3.26/src/lib.rs`), ['h2 0.3.26']);
  assert.deepEqual(
    crates(String.raw`C:\Users\me\.cargo\registry\src\registry-6f17d22bba15001f\h2-0.4.5\src\lib.rs`),
    ['h2 0.4.5'],
  );
});

test('names with digits and dashes, pre-releases and build metadata', () => {
  assert.deepEqual(crates(`${INDEX}/sha-1-0.10.0/src/lib.rs`), ['sha-1 0.10.0']);
  assert.deepEqual(crates(`${INDEX}/base64-0.22.1/src/lib.rs`), ['base64 0.22.1']);
  assert.deepEqual(crates(`${INDEX}/md-5-0.11.0-rc.2/src/lib.rs`), ['md-5 0.11.0-rc.2']);
  assert.deepEqual(crates(`${INDEX}/zstd-sys-2.0.13+zstd.1.5.6/src/lib.rs`), ['zstd-sys 2.0.13+zstd.1.5.6']);
  assert.deepEqual(crates(`${INDEX}/foo-2-1.0.0-alpha-3.4+b-5/src/lib.rs`), ['foo-2 1.0.0-alpha-3.4+b-5']);
});

test('paths stored one after the other without an end', () => {
  const text = `assertion failed${INDEX}/tokio-1.49.0/src/runtime/mod.rs${INDEX}/axum-0.8.9/src/lib.rssrc/main.rs`;
  assert.deepEqual(crates(text), ['axum 0.8.9', 'tokio 1.49.0']);
});

test('distribution, vendor and remapped folders', () => {
  assert.deepEqual(crates('/usr/share/cargo/registry/hyper-0.14.27/lib.rs'), ['hyper 0.14.27']);
  assert.deepEqual(crates('/build/cargo-vendor-dir/hyper-1.2.3/src/lib.rs'), ['hyper 1.2.3']);
  assert.deepEqual(crates('/deps/tokio-1.40.0/src/lib.rs'), ['tokio 1.40.0']);
  assert.deepEqual(crates('/src/app/vendor/hyper/src/lib.rs'), ['hyper ?']);
  assert.deepEqual(crates('external/crates__hyper-1.2.3/src/lib.rs'), ['hyper 1.2.3']);
  assert.deepEqual(crates('/execroot/external/crates__hyper-1.2.3/src/lib.rs'), ['hyper 1.2.3']);
});

test('git checkouts have no version; the folder before src is the crate', () => {
  const checkout = '/home/me/.cargo/git/checkouts';
  assert.deepEqual(crates(`${checkout}/hyper-f0b1c2d3e4a59687/1a2b3c4/src/lib.rs`), ['hyper ?']);
  assert.deepEqual(crates(`${checkout}/axum-f0b1c2d3e4a59687/1a2b3c4/axum-core/src/lib.rs`), ['axum-core ?']);
});

test('a version beats the same crate without one', () => {
  assert.deepEqual(crates(`${INDEX}/hyper-1.12.0/src/a.rs /x/vendor/hyper/src/b.rs`), ['hyper 1.12.0']);
  assert.deepEqual(crates(`${INDEX}/hyper-1.12.0/src/a.rs${INDEX}/hyper-0.14.32/src/b.rs`), [
    'hyper 0.14.32',
    'hyper 1.12.0',
  ]);
});

test('the evidence tells which crates are the own ones of the standard library', () => {
  const scan = startCrateScan();
  scanCratePaths(Buffer.from('x.rs/rust/deps/gimli-0.32.3/src/read/abbrev.rs'), scan);
  assert.equal(scan.found.get('gimli@0.32.3')?.evidence, '/rust/deps/gimli-0.32.3/src/read/abbrev.rs');
});

test('folders of a DWARF line table end with NUL', () => {
  assert.deepEqual(crates(`${INDEX}/serde_json-1.0.154/src\0${INDEX}/http-1.3.1\0src\0`), [
    'http 1.3.1',
    'serde_json 1.0.154',
  ]);
});

test('nothing is guessed', () => {
  assert.deepEqual(crates('/build/zlib-1.2.3/src/inflate.c'), []);
  assert.deepEqual(crates('failedhyper-1.12.0/src/lib.rs'), []);
  assert.deepEqual(crates('/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/core/src/fmt/mod.rs'), []);
  assert.deepEqual(crates('insert registry src'), []);
  assert.deepEqual(crates(`${INDEX}/hyper-1.12`), []);
});

test('a name and version put into a path come back', () => {
  const letter = fc.constantFrom(...'abz019_-');
  const name = fc.string({ unit: letter, maxLength: 20 }).map((rest) => `c${rest}`);
  const number = fc.nat({ max: 9999 });
  const suffix = fc.constantFrom('', '-rc.1', '+build.7', '-alpha-2+x');
  const version = fc.tuple(number, number, number, suffix).map(([a, b, c, rest]) => `${a}.${b}.${c}${rest}`);
  fc.assert(
    fc.property(name, version, (crate, semver) => {
      assert.deepEqual(crates(`text${INDEX}/${crate}-${semver}/src/lib.rsmore`), [`${crate} ${semver}`]);
    }),
  );
});

test('hostile text is read in bounded time', () => {
  const texts = [
    '/src/',
    'registry',
    'registry/src/a/a-1.1.1-',
    '/git/checkouts/a-0123456789abcdef/1234567/src/',
    '_-1.1.1/src/',
  ];
  const start = performance.now();
  for (const text of texts) crates(text.repeat(4_000_000 / text.length));
  assert.ok(performance.now() - start < 20_000);
});
