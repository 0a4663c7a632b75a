import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseEffectiveUid, parseEnvironment, parseMappings, parseStat, parseWords } from './proc-text.ts';

const statLine = (comm: string, flags = 4194304) =>
  `4242 (${comm}) S 1 4242 4242 0 -1 ${flags} 100 0 0 0 5 6 0 0 20 0 3 0 987654 1000000 250 18446744073709551615 1\n`;

test('stat: any comm', () => {
  for (const comm of ['shop', 'tokio) S 1 (x', '((', ')', 'a b c', 'new\nline', '']) {
    const stat = parseStat(statLine(comm));
    assert.deepEqual(stat, { comm, state: 'S', startTicks: 987654, kernelThread: false });
  }
});

test('stat: kernel threads and nonsense', () => {
  assert.equal(parseStat(statLine('kworker/0:1', 69238880))?.kernelThread, true);
  for (const text of ['', '1', '1 (a', '1 (a) S', 'a) (b S 1 2']) assert.equal(parseStat(text), undefined);
  fc.assert(fc.property(fc.string(), (text) => void parseStat(text)));
});

test('words and environment', () => {
  assert.deepEqual(parseWords(''), []);
  assert.deepEqual(parseWords('a\0\0b c\0'), ['a', '', 'b c']);
  assert.deepEqual(parseWords('rewritten title'), ['rewritten title']);
  const environment = parseEnvironment('A=1\0B=x=y\0=C\0noequals\0A=2\0E=\0');
  assert.deepEqual(
    [...environment],
    [
      ['A', '1'],
      ['B', 'x=y'],
      ['E', ''],
    ],
  );
});

test('effective uid', () => {
  assert.equal(parseEffectiveUid('Name:\tx\nUid:\t1000\t33\t1000\t1000\nGid:\t0\t0\t0\t0\n'), 33);
  assert.equal(parseEffectiveUid('Name:\tUid:\n'), undefined);
});

const MAPS = `5581f0a00000-5581f0a55000 r-xp 00012000 fe:01 1573 /opt/shop v2/shop
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
7f0000002000-7f0000003000 r--p 00000000 103:1f4 99 /lib/x.so (deleted)
7f0000004000-7f0000005000 r--p 00000000 00:01 12 /odd\\012name
7ffd1c000000-7ffd1c021000 rw-p 00000000 00:00 0                          [stack]
`;

test('maps: file-backed mappings with a way to open them', () => {
  const [shop, library, odd, ...rest] = parseMappings(MAPS, '/proc/7');
  assert.deepEqual(shop, {
    start: 0x5581f0a00000,
    end: 0x5581f0a55000,
    offset: 0x12000,
    executable: true,
    device: 0xfe01,
    inode: 1573,
    path: '/opt/shop v2/shop',
    deleted: false,
    openPath: '/proc/7/root/opt/shop v2/shop',
  });
  assert.equal(library?.path, '/lib/x.so');
  assert.equal(library?.deleted, true);
  assert.equal(library?.openPath, '/proc/7/map_files/7f0000002000-7f0000003000');
  // Major 259, minor 500 as st_dev.
  assert.equal(library?.device, (500 & 255) | (259 << 8) | ((500 >> 8) << 20));
  assert.equal(odd?.path, '/odd\nname');
  assert.deepEqual(rest, []);
});

test('maps: any damage costs lines, not the run', () => {
  const position = fc.integer({ min: 0, max: MAPS.length - 1 });
  fc.assert(
    fc.property(position, fc.string({ minLength: 1, maxLength: 3 }), (at, damage) => {
      const mappings = parseMappings(MAPS.slice(0, at) + damage + MAPS.slice(at + damage.length), '/proc/7');
      assert(mappings.length <= 4);
      for (const { start, end, offset, inode } of mappings) {
        assert([start, end, offset, inode].every(Number.isFinite));
      }
    }),
  );
});
