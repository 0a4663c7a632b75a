import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseElf } from './elf.ts';
import { fixture } from './fixtures.testing.ts';
import { buildId, parseNotes } from './notes.ts';
import { bytesSource } from './source.ts';

test('a program and its debug file have one build id', () => {
  const id = (name: string) => buildId(parseElf(bytesSource(fixture(name)), name));
  assert.match(id('rust-split') ?? '', /^[0-9a-f]{40}$/);
  assert.equal(id('rust-split'), id('rust-split.debug'));
  assert.notEqual(id('rust-split'), id('rust-small'));
});

test('any bytes give notes that lie inside them', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const note of parseNotes(bytes)) assert.ok(note.description.length <= bytes.length);
    }),
  );
});
