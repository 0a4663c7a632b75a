import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { UserError } from '../base/errors.ts';
import { SHT_SYMTAB } from '../elf/constants.ts';
import { parseElf } from '../elf/elf.ts';
import { fixture } from '../elf/fixtures.testing.ts';
import { bytesSource } from '../elf/source.ts';
import { findSymbolTable } from '../elf/symbols.ts';
import { collectFacts, type Questions } from './collect.ts';
import type { BinaryFacts, MemberQuery, SymbolQuery } from './facts.ts';
import { checkLoadable, fileFacts } from './file-facts.ts';

const QUERIES: readonly SymbolQuery[] = [
  { id: 'any', kind: 'function', contains: ['e'], pattern: /e/ },
  { id: 'all', kind: 'function', contains: [], pattern: /^/ },
  { id: 'tls', kind: 'tls', contains: [], pattern: /^/ },
];

const MEMBERS: readonly MemberQuery[] = [
  { id: 'polite', types: ['greeter::Polite', 'core::option::Option<usize>'], path: ['?inner'] },
];

const QUESTIONS: Questions = { queries: QUERIES, members: MEMBERS };

/** Milliseconds that no file of these sizes may take, on a busy machine. */
const LIMIT_MS = 2000;

/** The facts, or undefined when the file was refused with a UserError. Anything else fails the test. */
async function analyzed(bytes: Uint8Array): Promise<BinaryFacts | undefined> {
  const start = performance.now();
  try {
    const elf = parseElf(bytesSource(bytes), 'prog');
    checkLoadable(elf);
    return await collectFacts(elf, fileFacts(elf), [], QUESTIONS, []);
  } catch (error) {
    assert.ok(error instanceof UserError, error instanceof Error ? error.stack : String(error));
    assert.ok(error.message.length < 300 && !error.message.includes('\n'));
    return undefined;
  } finally {
    assert.ok(performance.now() - start < LIMIT_MS);
  }
}

test('a file cut at any length is refused', async () => {
  for (const name of ['c-pie', 'rust-split', 'rust-small']) {
    const bytes = fixture(name);
    assert.ok(await analyzed(bytes));
    for (let length = 0; length < bytes.length; length += 1) {
      assert.equal(await analyzed(bytes.subarray(0, length)), undefined, `${name} cut to ${length} bytes`);
    }
  }
});

test('each byte of the tables, set to extremes, gives facts or a clear error', async () => {
  const bytes = fixture('rust-small');
  const sectionTable = Number(bytes.readBigUInt64LE(0x28));
  const positions = [...range(4, 64 + 56 * 12), ...range(sectionTable, bytes.length)];
  for (const position of positions) {
    for (const value of [0, 1, 0x7f, 0xff]) {
      const copy = Buffer.from(bytes);
      copy[position] = value;
      await analyzed(copy);
    }
  }
});

test('any bytes flipped anywhere give facts or a clear error', async () => {
  const files = [
    'c-pie',
    'c-no-pie',
    'libc-shared.so',
    'rust-small',
    'rust-split',
    'rust-compressed-zlib',
  ].map(fixture);
  const flips = fc.array(fc.tuple(fc.nat({ max: 1 << 20 }), fc.nat({ max: 255 })), {
    minLength: 1,
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), flips, async (bytes, changes) => {
      const copy = Buffer.from(bytes);
      for (const [position, value] of changes) copy[position % copy.length] = value;
      await analyzed(copy);
    }),
    { numRuns: 3000 },
  );
});

test('random bytes behind a valid identification', async () => {
  const head = fixture('c-pie').subarray(0, 20);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 44, maxLength: 4000 }), async (rest) => {
      await analyzed(Buffer.concat([head, rest]));
    }),
    { numRuns: 2000 },
  );
});

test('numbers of 64 bits at the edges, in every field of headers, segments and sections', async () => {
  const bytes = fixture('rust-small');
  const sectionTable = Number(bytes.readBigUInt64LE(0x28));
  const fields = [
    ...range(24, 56, 8),
    ...range(64, 64 + 56 * 12, 8),
    ...range(sectionTable, bytes.length - 8, 8),
  ];
  const values = [0n, 1n, 0xffff_ffffn, 1n << 53n, (1n << 63n) - 1n, (1n << 64n) - 1n, BigInt(bytes.length)];
  for (const field of fields) {
    for (const value of values) {
      const copy = Buffer.from(bytes);
      copy.writeBigUInt64LE(value, field);
      await analyzed(copy);
    }
  }
});

test('a million symbols that share one long name do not multiply the work', async () => {
  const bytes = Buffer.concat([fixture('rust-small'), Buffer.alloc(24 << 20)]);
  const at = fixture('rust-small').length;
  const elf = parseElf(bytesSource(bytes), 'prog');
  const table = findSymbolTable(elf, SHT_SYMTAB);
  assert.ok(table);
  const strings = Buffer.alloc(1 << 16, 'e');
  strings[strings.length - 1] = 0;
  bytes.set(strings, bytes.length - strings.length);
  for (let symbol = 0; symbol < 900_000; symbol += 1) {
    bytes.writeUInt32LE(symbol % 60_000, at + symbol * 24);
    bytes.set([2, 0, 1, 0], at + symbol * 24 + 4);
  }
  const sectionTable = Number(bytes.readBigUInt64LE(0x28));
  const set = (index: number, offset: number, size: number) => {
    bytes.writeBigUInt64LE(BigInt(offset), sectionTable + index * 64 + 24);
    bytes.writeBigUInt64LE(BigInt(size), sectionTable + index * 64 + 32);
  };
  set(table.symbols.index, at, 900_000 * 24);
  set(table.strings.index, bytes.length - strings.length, strings.length);
  const start = performance.now();
  const problems: string[] = [];
  const hostile = parseElf(bytesSource(bytes), 'prog');
  await collectFacts(hostile, fileFacts(hostile), [], QUESTIONS, problems);
  assert.match(problems.join(), /Symbols of prog not used\. Cannot /);
  assert.ok(performance.now() - start < 10_000);
});

function range(start: number, end: number, step = 1): readonly number[] {
  return Array.from({ length: Math.ceil((end - start) / step) }, (_, index) => start + index * step);
}
