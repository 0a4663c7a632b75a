import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { demangle, isRustName } from './demangle.ts';

test('legacy names lose their hash and suffix', () => {
  assert.equal(demangle('_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE'), 'core::fmt::Write::write_fmt');
  assert.equal(
    demangle('_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE.llvm.42'),
    'core::fmt::Write::write_fmt',
  );
  assert.equal(
    demangle('_ZN50_$LT$greeter..Polite$u20$as$u20$greeter..Greet$GT$5greet17h1c597a79476a030cE'),
    '<greeter::Polite as greeter::Greet>::greet',
  );
});

test('v0 names', () => {
  assert.equal(
    demangle('_RNvXCsiHTJvIbGJiq_7greeterNtB2_6PoliteNtB2_5Greet5greet'),
    '<greeter::Polite as greeter::Greet>::greet',
  );
  assert.equal(demangle('_RNvCs4VZ8Fqhk2sX_7___rustc10rust_panic'), '__rustc::rust_panic');
});

test('other names stay as they are', () => {
  for (const name of ['main', '', '_ZN3foo3barE', '_Znwm', '_RNvX$$$', '_R', '_RINvNtC3std3mem']) {
    assert.equal(demangle(name), name);
  }
  assert.equal(isRustName('_ZN3foo3barEv'), false);
});

test('any name gives a name', () => {
  const part = fc.constantFrom(
    '_R',
    '_ZN',
    '3foo',
    '17h0123456789abcdefE',
    'Nv',
    'C',
    'B',
    '_',
    'I',
    'E',
    's_',
    'Nt',
    '9',
  );
  const mangled = fc.array(part, { maxLength: 40 }).map((parts) => `_R${parts.join('')}`);
  fc.assert(
    fc.property(
      fc.oneof(mangled, fc.string({ unit: 'binary' })),
      (name) => typeof demangle(name) === 'string',
    ),
  );
});

test('nested back-references end in bounded time', () => {
  const bomb = `_RC1a${'TB_'.repeat(20_000)}`;
  const start = performance.now();
  demangle(bomb);
  demangle(`_RINvC1a1b${'TRB2_'.repeat(12_000)}E`);
  assert.ok(performance.now() - start < 5000);
});
