import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileOffset, svma } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { EM_BPF, SHT_DYNSYM, SHT_REL, SHT_SYMTAB } from './constants.ts';
import { readDynamic, readInterpreter } from './dynamic.ts';
import { type ElfFile, findSection, parseElf, sectionBytes } from './elf.ts';
import { fixture } from './fixtures.testing.ts';
import { buildId } from './notes.ts';
import { readRelocations } from './relocations.ts';
import { loadSegments, toFileOffset, toSvma } from './segments.ts';
import { bytesSource } from './source.ts';
import { stringAt } from './strings.ts';
import { findSymbolTable, symbolChunks } from './symbols.ts';

const parse = (bytes: Uint8Array) => parseElf(bytesSource(bytes), 'prog');

function patched(name: string, patch: (bytes: Buffer) => void): Buffer {
  const bytes = fixture(name);
  patch(bytes);
  return bytes;
}

function refusal(bytes: Uint8Array): string {
  try {
    parse(bytes);
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return error.message;
  }
  throw new Error('the file was accepted');
}

test('says what a file is that cannot be read', () => {
  assert.equal(refusal(Buffer.alloc(0)), 'prog is not an ELF file: it is empty');
  assert.equal(refusal(Buffer.from('hello')), 'prog is not an ELF file: it begins with 68 65 6c 6c');
  assert.match(
    refusal(Buffer.from('#!/bin/sh\n')),
    /it begins with 23 21 2f 62 \(a script; name its interpreter instead\)$/,
  );
  assert.match(
    refusal(fixture('c-pie').subarray(0, 10)),
    /truncated: the ELF header takes 64 bytes, the file has 10$/,
  );
  assert.match(
    refusal(fixture('c-pie').subarray(0, 40)),
    /truncated: the ELF header takes 64 bytes, the file has 40$/,
  );
});

test('names the architecture of a foreign file', () => {
  const wordSize = patched('c-pie', (bytes) => bytes.set([1], 4));
  assert.equal(refusal(wordSize), 'prog is a 32-bit ELF file (x86-64); only 64-bit ones are supported');
  const bigEndian = patched('c-pie', (bytes) => bytes.set([2], 5));
  bigEndian.writeUInt16BE(22, 18);
  assert.equal(
    refusal(bigEndian),
    'prog is a big-endian ELF file (IBM Z (s390x)); only little-endian ones are supported',
  );
  const arm = patched('c-pie', (bytes) => bytes.writeUInt16LE(183, 18));
  assert.equal(refusal(arm), 'prog is a program for AArch64, not for x86-64');
  const odd = patched('c-pie', (bytes) => bytes.writeUInt16LE(4242, 18));
  assert.equal(refusal(odd), 'prog is a program for machine 4242, not for x86-64');
});

test('a table behind the end of the file means that the file is cut', () => {
  const bytes = fixture('c-pie');
  assert.equal(
    refusal(bytes.subarray(0, bytes.length - 1)),
    `prog is truncated: its section headers end at byte ${bytes.length}, the file has ${bytes.length - 1} bytes`,
  );
  const noSections = patched('c-pie', (copy) => copy.fill(0, 0x28, 0x30)).subarray(0, 100);
  assert.match(refusal(noSections), /its program headers end at byte \d+, the file has 100 bytes/);
});

test('a file without section headers still has its segments and build id', () => {
  const elf = parse(patched('rust-small', (bytes) => bytes.fill(0, 0x28, 0x30)));
  assert.deepEqual(elf.sections, []);
  assert.equal(buildId(elf), buildId(parse(fixture('rust-small'))));
  assert.equal(readInterpreter(elf), '/lib64/ld-linux-x86-64.so.2');
  assert.ok(readDynamic(elf)?.needed.includes('libc.so.6'));
});

test('bogus section names leave the sections without names', () => {
  const elf = parse(patched('c-pie', (bytes) => bytes.writeUInt16LE(9999, 0x3e)));
  assert.ok(elf.sections.length > 20);
  assert.ok(elf.sections.every(({ name }) => name === ''));
});

test('a section count above 16 bits is read from section 0', () => {
  const bytes = fixture('c-pie');
  const count = bytes.readUInt16LE(0x3c);
  const sectionZero = Number(bytes.readBigUInt64LE(0x28));
  bytes.writeBigUInt64LE(BigInt(count), sectionZero + 0x20);
  bytes.writeUInt16LE(0, 0x3c);
  assert.equal(parse(bytes).sections.length, count);
});

test('dynamic section: libraries and soname', () => {
  const library = readDynamic(parse(fixture('libc-shared.so')));
  assert.deepEqual(library?.needed, ['ld-linux-x86-64.so.2']);
  assert.equal(library?.soname, 'libhello.so.1');
  assert.equal(readDynamic(parse(fixture('c-no-pie')))?.soname, undefined);
});

test('symbols of both tables', () => {
  const elf = parse(fixture('libc-shared.so'));
  assert.ok(symbolNames(elf, SHT_SYMTAB).includes('greet'));
  assert.ok(symbolNames(elf, SHT_DYNSYM).includes('greet'));
  assert.ok(!symbolNames(elf, SHT_DYNSYM).includes('deregister_tm_clones'));
  assert.equal(findSymbolTable(parse(fixture('rust-stripped')), SHT_SYMTAB), undefined);
});

function symbolNames(
  elf: ElfFile,
  type: typeof SHT_SYMTAB | typeof SHT_DYNSYM,
): readonly (string | undefined)[] {
  const table = findSymbolTable(elf, type);
  assert.ok(table);
  const strings = sectionBytes(elf, table.strings);
  return [...symbolChunks(elf, table)].flatMap((chunk) =>
    Array.from({ length: chunk.count }, (_, index) => stringAt(strings, chunk.nameOffset(index))),
  );
}

test('addresses and file offsets convert both ways, in a PIE and a fixed executable', () => {
  for (const name of ['rust-small', 'c-no-pie', 'rust-no-pie']) {
    const elf = parse(fixture(name));
    const loads = loadSegments(elf.segments);
    const text = findSection(elf, '.text');
    assert.ok(text);
    assert.equal(toFileOffset(loads, svma(text.svma)), text.offset);
    assert.equal(toSvma(loads, fileOffset(text.offset)), text.svma);
    assert.equal(toFileOffset(loads, svma(2 ** 50)), undefined);
    assert.equal(toSvma(loads, fileOffset(2 ** 50)), undefined);
  }
});

test('addresses without bytes in the file have no file offset', () => {
  const loads = loadSegments(parse(fixture('c-pie')).segments);
  const bss = loads.find((load) => load.memSize > load.fileSize);
  assert.ok(bss);
  assert.equal(toFileOffset(loads, svma(bss.svma + bss.fileSize)), undefined);
});

test('zlib sections inflate to what objcopy was given; zstd too where Node has it', () => {
  const plain = parse(fixture('rust-debug'));
  const section = findSection(plain, '.debug_info');
  assert.ok(section);
  const expected = sectionBytes(plain, section);
  assert.deepEqual(debugInfo('rust-compressed-zlib'), expected);
  const canZstd = 'zstdDecompressSync' in process.getBuiltinModule('node:zlib');
  if (canZstd) assert.deepEqual(debugInfo('rust-compressed-zstd'), expected);
  else
    assert.throws(
      () => debugInfo('rust-compressed-zstd'),
      /^Error: Cannot inflate \.debug_info: zstd needs Node 22\.15/,
    );
});

function debugInfo(name: string): Buffer {
  const elf = parse(fixture(name));
  const section = findSection(elf, '.debug_info');
  assert.ok(section);
  return sectionBytes(elf, section);
}

test('a compressed section that announces too much or lies is refused', () => {
  const bytes = fixture('rust-compressed-zlib');
  const section = findSection(parse(bytes), '.debug_info');
  assert.ok(section);
  const inflate = (size: bigint) => {
    bytes.writeBigUInt64LE(size, section.offset + 8);
    return sectionBytes(parse(bytes), section);
  };
  assert.throws(
    () => inflate(1n << 40n),
    /Cannot inflate \.debug_info: 1099511627776 bytes announced, limit/,
  );
  assert.throws(() => inflate(10n), /Cannot inflate \.debug_info/);
  assert.throws(() => inflate(1_000_000n), /1000000 bytes announced, \d+ found/);
});

test('a BPF object parses with its own machine only', () => {
  const bytes = fixture('bpf-object.o');
  assert.equal(refusal(bytes), 'prog is a program for BPF, not for x86-64');
  const elf = parseElf(bytesSource(bytes), 'object', EM_BPF);
  const program = findSection(elf, 'uprobe.multi');
  const relocations = elf.sections.find(({ type, info }) => type === SHT_REL && info === program?.index);
  assert.ok(relocations);
  const [relocation] = readRelocations(elf, relocations);
  assert.ok(relocation);
  assert.equal(symbolNames(elf, SHT_SYMTAB)[relocation.symbol], 'hits');
});
