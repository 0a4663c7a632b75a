import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compileGlob, escapeGlob, isGlob } from './glob.ts';

const CASES: readonly (readonly [pattern: string, matching: readonly string[], other: readonly string[]])[] =
  [
    ['/bin/*', ['/bin/a', '/bin/'], ['/bin/a/b', '/usr/bin/a', '/bin']],
    ['/srv/**/bin/*', ['/srv/bin/x', '/srv/a/bin/x', '/srv/a/b/bin/x'], ['/srv/bin/x/y', '/srvbin/x']],
    ['/srv/**', ['/srv/', '/srv/a', '/srv/a/b'], ['/srv', '/srva']],
    ['/a/**/**/**/b', ['/a/b', '/a/x/y/b'], ['/ab']],
    ['/s?op', ['/shop', '/stop'], ['/sop', '/s/op', '/shoop']],
    ['/app[0-9]', ['/app0', '/app9'], ['/appa', '/app', '/app10']],
    ['/app[!0-9]', ['/appa'], ['/app1', '/app/', '/app']],
    ['/app[^a-c-]', ['/appd'], ['/appb', '/app-']],
    ['/[]x]', ['/]', '/x'], ['/y']],
    ['/[a.$^]', ['/a', '/.', '/$', '/^'], ['/b']],
    ['/a[.-0]b', ['/a.b', '/a0b'], ['/a/b']],
    ['/a[b', ['/a[b'], ['/ab']],
    ['/a\\*b', ['/a*b'], ['/axb']],
    ['/end\\', ['/end\\'], ['/end']],
    ['/a.b+(c)|{d}$', ['/a.b+(c)|{d}$'], ['/axb+(c)|{d}$', '/abb(c)']],
    ['/a\n*', ['/a\n', '/a\nb\nc'], ['/a']],
  ];

for (const [pattern, matching, other] of CASES) {
  test(`glob ${JSON.stringify(pattern)}`, () => {
    const matches = compileGlob(pattern);
    for (const path of matching) assert.equal(matches(path), true, path);
    for (const path of other) assert.equal(matches(path), false, path);
  });
}

test('an escaped path matches itself and nothing else', () => {
  const text = fc.string({ unit: 'grapheme-composite' });
  fc.assert(
    fc.property(text, text, (path, other) => {
      const matches = compileGlob(escapeGlob(path));
      assert.equal(matches(path), true);
      assert.equal(matches(other), path === other);
    }),
  );
});

test('any text is a pattern', () => {
  const text = fc.string({ unit: fc.constantFrom(...'ab/*?[]!^-\\{}()|.+$') });
  fc.assert(fc.property(text, text, (pattern, path) => typeof compileGlob(pattern)(path) === 'boolean'));
});

test('repeated folders cost no exponential time', () => {
  const start = performance.now();
  assert.equal(compileGlob(`/${'**/'.repeat(60)}x`)(`/${'a/'.repeat(500)}y`), false);
  assert(performance.now() - start < 500);
});

test('isGlob', () => {
  assert.deepEqual(['/a', '/a*', 'a?', '[a]', 'a\\b', '/a{b,c}'].map(isGlob), [
    false,
    true,
    true,
    true,
    true,
    false,
  ]);
});
