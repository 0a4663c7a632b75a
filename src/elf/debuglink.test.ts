import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDebugLink, readDebugLink } from './debuglink.ts';
import { parseElf } from './elf.ts';
import { fixture } from './fixtures.testing.ts';
import { bytesSource } from './source.ts';

test('the file name is padded to four bytes, then comes the CRC', () => {
  assert.deepEqual(parseDebugLink(Buffer.from('ab\0\0\x01\x02\x03\x04', 'latin1')), {
    fileName: 'ab',
    crc32: 0x04030201,
  });
  assert.deepEqual(parseDebugLink(Buffer.from('abc\0\x01\0\0\0', 'latin1')), { fileName: 'abc', crc32: 1 });
});

test('a name that leaves the folder is refused', () => {
  assert.throws(
    () => parseDebugLink(Buffer.from('../x\0\0\0\0\0\0\0\0')),
    /'\.\.\/x' is not a plain file name/,
  );
  assert.throws(() => parseDebugLink(Buffer.from('\0\0\0\0\0\0\0\0')), /'' is not a plain file name/);
});

test('a section that is cut is a reason, one that is absent is nothing', () => {
  assert.throws(() => parseDebugLink(Buffer.from('ab\0\0\x01')), /CRC at 0x4: 4 bytes wanted, 1 left/);
  const link = readDebugLink(parseElf(bytesSource(fixture('rust-split')), 'prog'));
  assert.ok(link !== undefined && 'fileName' in link);
  assert.equal(link.fileName, 'rust-split.debug');
  assert.equal(readDebugLink(parseElf(bytesSource(fixture('rust-small')), 'prog')), undefined);
});
