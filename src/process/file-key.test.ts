import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { kernelFileKeys } from './file-key.ts';
import { procSource } from './proc.ts';
import type { Mapping, Process } from './process.ts';

const executable = { path: '/shop', name: 'shop', deleted: false, openPath: '' };
const shop = (device: number, inode: number): Process => ({
  pid: 1,
  startTicks: 1,
  executable: { ...executable, device, inode },
});
const mapping = (device: number, inode: number): Mapping => ({
  ...{ start: 0, end: 1, offset: 0, executable: true, path: '/shop', deleted: false, openPath: '' },
  device,
  inode,
});

test('stat and maps agree: one key', () => {
  const expected = [{ device: (254 << 20) | 1, inode: 7 }];
  assert.deepEqual(kernelFileKeys(shop(0xfe01, 7), [mapping(0xfe01, 7)]), expected);
  assert.deepEqual(kernelFileKeys(shop(0xfe01, 7), []), expected);
});

test('they differ: both keys, also with a large minor', () => {
  assert.deepEqual(kernelFileKeys(shop(0x1103f4, 7), [mapping(0x2a, 9)]), [
    { device: 259 * 2 ** 20 + 500, inode: 7 },
    { device: 42, inode: 9 },
  ]);
});

test('on this machine, against the kernel text of /proc/self/maps', () => {
  const source = procSource();
  const reading = source.read(process.pid);
  assert(reading.kind === 'process');
  const line = readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .find((text) => text.endsWith(process.execPath));
  const [, major = '', minor = '', inode = ''] = / ([0-9a-f]+):([0-9a-f]+) (\d+) /.exec(line ?? '') ?? [];
  const wanted = {
    device: Number.parseInt(major, 16) * 2 ** 20 + Number.parseInt(minor, 16),
    inode: Number(inode),
  };
  const keys = kernelFileKeys(reading.process, source.mappings(process.pid));
  assert(keys.some((key) => key.device === wanted.device && key.inode === wanted.inode));
  assert.equal(keys[0]?.inode, statSync(process.execPath).ino);
});
