import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { svma } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { fixture } from '../elf/fixtures.testing.ts';
import { type AnalyzeOptions, analyze } from './analyze.ts';
import type { SymbolQuery } from './facts.ts';

const folder = mkdtempSync(join(tmpdir(), 'analyze-'));
after(() => rmSync(folder, { recursive: true }));

const QUERIES: readonly SymbolQuery[] = [
  {
    id: 'greet',
    kind: 'function',
    contains: ['greeter', 'greet'],
    pattern: /^<greeter::Polite as greeter::Greet>::greet$/,
  },
  { id: 'greeted', kind: 'tls', contains: ['GREETED'], pattern: /^greeter::GREETED::/ },
  { id: 'nothing', kind: 'function', contains: ['no_such_name'], pattern: /./ },
];

function write(name: string, bytes: Uint8Array = fixture(name)): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const look = (name: string, options: AnalyzeOptions = {}) =>
  analyze(write(name), QUERIES, { cacheDirectory: false, debugRoot: join(folder, 'debug'), ...options });

test('kind and linkage of each fixture', async () => {
  const expected = {
    'rust-pie-v0': 'pie dynamic rust',
    'rust-no-pie': 'executable dynamic rust',
    'rust-static': 'pie static rust',
    'rust-static-musl': 'pie static rust',
    'librust.so': 'shared-object dynamic rust',
    'rust-stripped': 'pie dynamic rust',
    'rust-stripped-no-comment': 'pie dynamic rust',
    'rust-small': 'pie dynamic rust',
    'c-pie': 'pie dynamic other',
    'c-no-pie': 'executable dynamic other',
    'libc-shared.so': 'shared-object dynamic other',
  };
  for (const [name, kind] of Object.entries(expected)) {
    const { facts } = await look(name);
    assert.equal(`${facts.type} ${facts.linkage} ${facts.isRust ? 'rust' : 'other'}`, kind, name);
    assert.equal(facts.fileSize, fixture(name).length);
    assert.equal(facts.ehFrame, true);
  }
});

test('legacy and v0 mangling give the same function and thread-local variable', async () => {
  for (const name of [
    'rust-pie-v0',
    'rust-pie-legacy',
    'rust-no-pie',
    'rust-static-musl',
    'librust.so',
    'rust-small',
  ]) {
    const { facts } = await look(name);
    const [greet, ...more] = facts.functions.greet ?? [];
    assert.ok(greet, name);
    assert.deepEqual(more, []);
    assert.equal(greet.name, '<greeter::Polite as greeter::Greet>::greet');
    assert.equal(greet.source, 'symtab');
    const [greeted] = facts.tlsVariables.greeted ?? [];
    assert.ok(greeted && facts.tls, name);
    assert.ok(greeted.offset + greeted.size <= facts.tls.memSize);
    assert.deepEqual(facts.functions.nothing, []);
  }
});

test('code is read from where the symbol lies', async () => {
  const { facts, readCode } = await look('rust-no-pie');
  const [greet] = facts.functions.greet ?? [];
  assert.ok(greet);
  const code = readCode(greet.svma, greet.size);
  assert.ok(code);
  assert.deepEqual(
    Buffer.from(code.bytes),
    fixture('rust-no-pie').subarray(code.fileOffset, code.fileOffset + greet.size),
  );
  assert.equal(code.bytes[greet.size - 1] !== undefined, true);
  assert.equal(readCode(svma(1), 16), undefined);
  assert.equal(readCode(svma(2 ** 60), 16), undefined);
});

test('a range that runs past its segment is cut there', async () => {
  const { facts, readCode } = await look('c-pie');
  const code = facts.segments.find((segment) => segment.executable);
  assert.ok(code);
  assert.equal(readCode(svma(code.svma + code.fileSize - 5), 4096)?.bytes.length, 5);
});

test('code of a file that was replaced meanwhile is not read', async () => {
  const { facts, readCode } = await look('rust-pie-v0');
  write('rust-pie-v0', fixture('rust-pie-legacy'));
  const [greet] = facts.functions.greet ?? [];
  assert.ok(greet);
  assert.throws(() => readCode(greet.svma, 16), /was replaced while it was being analysed/);
});

test('rustc and crates, from .comment or without it', async () => {
  const { facts } = await look('rust-stripped');
  assert.equal(facts.rustc?.version, '1.95.0');
  assert.match(facts.rustc?.evidence ?? '', /^\.comment: /);
  assert.ok(
    facts.crates.some(({ name, version }) => name === 'greeter-2' && version === '1.4.0-rc.1+build.5'),
  );
  const bare = (await look('rust-stripped-no-comment')).facts;
  assert.equal(bare.rustc?.version, '1.95.0');
  assert.match(bare.rustc?.evidence ?? '', /^\/rustc\/59807616/);
  assert.deepEqual(bare.crates, facts.crates);
});

test('symbols come from the file that the debug link names', async () => {
  write('rust-split.debug');
  const { facts, problems } = await look('rust-split');
  assert.deepEqual(problems, []);
  assert.equal(facts.symbols.symtab, 0);
  assert.ok(facts.symbols.debugFile > 0);
  assert.equal(facts.symbols.debugFilePath, join(folder, 'rust-split.debug'));
  assert.equal(facts.functions.greet?.[0]?.source, 'debug-file');
  assert.equal(facts.dwarf, true);
  const whole = (await look('rust-debug')).facts.functions.greet?.[0];
  assert.equal(facts.functions.greet?.[0]?.svma, whole?.svma);
});

test('a debug file with another checksum is reported and not used', async () => {
  const bytes = fixture('rust-split.debug');
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  write('rust-split.debug', bytes);
  const { facts, problems } = await look('rust-split');
  assert.equal(facts.symbols.debugFilePath, undefined);
  assert.equal(problems.length, 1);
  assert.match(
    problems[0] ?? '',
    /Debug file of rust-split not used\. .*has CRC [0-9a-f]+, \.gnu_debuglink wants [0-9a-f]+/,
  );
  rmSync(join(folder, 'rust-split.debug'));
});

test('a sparse debug file of any size does not keep the analysis busy', async () => {
  truncateSync(write('rust-split.debug'), 2 ** 40);
  const { problems } = await look('rust-split');
  assert.match(problems[0] ?? '', /has 1099511627776 bytes, limit 4294967296$/);
  rmSync(join(folder, 'rust-split.debug'));
});

test('symbols come from the file that the build id names', async () => {
  const root = join(folder, 'debug');
  const { facts: own } = await look('rust-split');
  const id = own.buildId ?? '';
  mkdirSync(join(root, '.build-id', id.slice(0, 2)), { recursive: true });
  const path = join(root, '.build-id', id.slice(0, 2), `${id.slice(2)}.debug`);
  writeFileSync(path, fixture('rust-split.debug'));
  const { facts } = await look('rust-split');
  assert.equal(facts.symbols.debugFilePath, path);
  writeFileSync(path, fixture('rust-small'));
  const { problems } = await look('rust-split');
  assert.match(problems[0] ?? '', /has build id [0-9a-f]{40}, the program [0-9a-f]{40}/);
  rmSync(root, { recursive: true });
});

test('DWARF is seen, compressed or not', async () => {
  for (const [name, dwarf] of [
    ['rust-debug', true],
    ['rust-compressed-zlib', true],
    ['rust-compressed-zstd', true],
    ['rust-small', false],
  ] as const) {
    assert.equal((await look(name)).facts.dwarf, dwarf, name);
  }
});

test('what cannot be analysed is refused in one line', async () => {
  const refused = (name: string, bytes: Uint8Array, message: RegExp) =>
    assert.rejects(analyze(write(name, bytes), [], { cacheDirectory: false }), (error: unknown) => {
      assert.ok(error instanceof UserError, String(error));
      assert.match(error.message, message);
      assert.ok(!error.message.includes('\n'));
      return true;
    });
  await refused('text', Buffer.from('hello'), /text is not an ELF file/);
  await refused(
    'c-object.o',
    fixture('c-object.o'),
    /is not a program or shared object: it is an ELF relocatable object$/,
  );
  await refused('split.debug', fixture('rust-split.debug'), /has no code: it is a separate debug file$/);
  await refused('bpf', fixture('bpf-object.o'), /is a program for BPF, not for x86-64$/);
  await assert.rejects(analyze(join(folder, 'absent'), []), {
    message: `Cannot open ${folder}/absent: no such file`,
  });
  await assert.rejects(analyze(folder, []), { message: `Cannot read ${folder}: it is not a regular file` });
  await assert.rejects(analyze('/dev/null', []), {
    message: 'Cannot read /dev/null: it is not a regular file',
  });
  const cut = fixture('c-pie').fill(0, 0x28, 0x30);
  await refused(
    'cut',
    cut.subarray(0, 12_000),
    /is truncated: a segment ends at byte \d+, the file has 12000 bytes$/,
  );
});

test('facts are kept: a second analysis reads them, whatever became of them is noticed', async () => {
  const cacheDirectory = join(folder, 'cache');
  const path = write('rust-pie-legacy');
  const first = await analyze(path, QUERIES, { cacheDirectory });
  assert.throws(() => readdirSync(cacheDirectory), /ENOENT/, 'a file changed just now is not cached');
  await settle(path);
  await analyze(path, QUERIES, { cacheDirectory });
  const [entry = ''] = readdirSync(cacheDirectory);
  const start = performance.now();
  const second = await analyze(path, QUERIES, { cacheDirectory });
  assert.ok(performance.now() - start < 50);
  assert.deepEqual(second.facts, first.facts);
  const text = readFileSync(join(cacheDirectory, entry), 'utf8');
  writeFileSync(join(cacheDirectory, entry), text.replace('"pie"', '"shared-object"'));
  assert.deepEqual(
    (await analyze(path, QUERIES, { cacheDirectory })).facts,
    first.facts,
    'a damaged entry is ignored',
  );
  assert.equal(readFileSync(join(cacheDirectory, entry), 'utf8'), text, 'and written anew');
  await analyze(path, QUERIES.slice(1), { cacheDirectory });
  assert.equal(readdirSync(cacheDirectory).length, 2, 'other questions are another entry');
});

/** Waits until the file is old enough to be cached. */
async function settle(path: string): Promise<void> {
  const past = new Date(Date.now() - 60_000);
  utimesSync(path, past, past);
  await new Promise((resolve) => setTimeout(resolve, 2100));
}
