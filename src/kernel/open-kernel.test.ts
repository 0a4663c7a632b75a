import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileOffset } from '../base/address.ts';
import { effectiveCapabilities, hasCapability } from './capabilities.ts';
import { probeMultiLink, probePerfUprobe, probeTracepoint, readKernelBtf } from './features.ts';
import type { Kernel } from './kernel.ts';
import type { UprobeMode } from './links.ts';
import { openKernel, openKernelWith } from './open-kernel.ts';
import {
  aliveIds,
  heldDescriptors,
  heldIds,
  kernelOptions,
  needs,
  needsUprobes,
  startTarget,
} from './test-support.ts';

interface Hit {
  readonly cookie: bigint;
  readonly tgid: number;
  readonly argument: number;
  readonly fsbase: bigint;
}

function drainHits(kernel: Kernel): Hit[] {
  const hits: Hit[] = [];
  kernel.ring.drain((view, _bytes, at, length) => {
    assert.equal(length, 24);
    hits.push({
      cookie: view.getBigUint64(at, true),
      tgid: view.getUint32(at + 8, true),
      argument: view.getUint32(at + 12, true),
      fsbase: view.getBigUint64(at + 16, true),
    });
  }, 1e6);
  return hits;
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

/** The first eight bytes of an array map's element. */
function wordOf(kernel: Kernel, map: string, index: number): bigint {
  const value = kernel.map(map).lookup(u32(index));
  assert.ok(value);
  return Buffer.from(value).readBigUInt64LE();
}

const resultOf = (kernel: Kernel, index: number): bigint => wordOf(kernel, 'results', index);

const loads = (t: Parameters<typeof needs>[0]): boolean => {
  const btf = readKernelBtf();
  return needs(
    t,
    'BTF-typed tracepoints',
    '5.15',
    btf !== undefined && probeTracepoint(btf, 'sched_process_exec').ok,
  );
};

test('maps: update, look up, delete', (t) => {
  if (!loads(t)) return;
  using kernel = openKernel(kernelOptions(['on_exec']));
  const map = kernel.map('by_key');
  const value = Buffer.from('0123456789abcdef');
  assert.deepEqual([map.keySize, map.valueSize], [4, 16]);
  assert.equal(map.lookup(u32(7)), undefined);
  map.update(u32(7), value);
  assert.deepEqual(map.lookup(u32(7)), value);
  assert.equal(map.delete(u32(7)), true);
  assert.equal(map.delete(u32(7)), false);
  assert.equal(map.lookup(u32(7)), undefined);
  assert.throws(
    () => map.update(Buffer.alloc(3), value),
    /Cannot access map by_key: key of 3 bytes, it has 4/,
  );
  assert.throws(() => map.update(u32(1), Buffer.alloc(8)), /value of 8 bytes, it has 16/);
  for (let key = 0; key < 4; key += 1) map.update(u32(key), value);
  assert.throws(() => map.update(u32(4), value), /Cannot update map by_key: E2BIG/);
  assert.throws(() => kernel.map('nowhere'), /Cannot open map nowhere: the object has no such map/);
});

test('mapSizes override max_entries', (t) => {
  if (!loads(t)) return;
  using kernel = openKernel(kernelOptions(['on_exec'], { mapSizes: { by_key: 5 } }));
  for (let key = 0; key < 5; key += 1) kernel.map('by_key').update(u32(key), Buffer.alloc(16));
  assert.throws(() => kernel.map('by_key').update(u32(5), Buffer.alloc(16)), /E2BIG/);
});

test('a tracepoint program runs: constants, data, CO-RE, bpf_loop, per-CPU values', (t) => {
  if (!loads(t)) return;
  using kernel = openKernel(kernelOptions(['on_exec'], { constants: { wide: 1000n, flag: 3 } }));
  const link = kernel.attachTracepoint('on_exec');
  execFileSync('/bin/true');
  link[Symbol.dispose]();
  assert.equal(resultOf(kernel, 0), 45n, 'bpf_loop over a static callback: 0 + 1 + … + 9');
  assert.equal(resultOf(kernel, 1), 1008n, 'wide 1000 + counted 5 + flag 3');
  assert.notEqual(resultOf(kernel, 2), 0n, 'inode through three pointers');
  assert.equal(resultOf(kernel, 4), 44n, 'a missing member takes the other branch');
  assert.equal(resultOf(kernel, 5), 27n, "the kernel's BPF_MAP_TYPE_RINGBUF, not the object's");
  assert.equal(resultOf(kernel, 6), 17n, 'sizeof(struct iovec) + task_struct exists');
  assert.equal(resultOf(kernel, 7), 8n, 'size of fsbase + missing weak function is null');
  const perCpu = kernel.map('per_cpu').lookup(u32(0));
  assert.ok(perCpu && perCpu.length % 8 === 0 && perCpu.some((byte) => byte !== 0));
  kernel.map('results').update(u32(0), Buffer.alloc(8));
  execFileSync('/bin/true');
  assert.equal(resultOf(kernel, 0), 0n, 'detached: nothing runs');
});

test('socket storage works in a tracepoint program', async (t) => {
  if (!loads(t)) return;
  using kernel = openKernel(kernelOptions(['on_state']));
  using _link = kernel.attachTracepoint('on_state');
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const client = connect(typeof address === 'object' && address ? address.port : 0, '127.0.0.1').resume();
  await once(client, 'close');
  server.close();
});

const MODES: readonly (readonly [UprobeMode, string, () => boolean])[] = [
  ['uprobe_multi', '6.6', () => probeMultiLink().ok],
  ['perf_event', '5.15', () => probePerfUprobe().ok],
];

function needsMode(t: TestContext, mode: UprobeMode, since: string, available: boolean): boolean {
  const privileged = mode === 'uprobe_multi' || hasCapability(effectiveCapabilities(), 'CAP_SYS_ADMIN');
  if (!privileged) t.skip('privileges: perf event uprobes need CAP_SYS_ADMIN');
  return privileged && needs(t, mode, since, available);
}

for (const [mode, since, available] of MODES) {
  test(`${mode}: cookies, arguments, several sites, detach`, async (t) => {
    if (!needsMode(t, mode, since, available())) return;
    await using target = await startTarget();
    const before = heldDescriptors();
    {
      using kernel = openKernelWith(
        kernelOptions(['on_call'], { constants: { watched_tgid: target.pid } }),
        mode,
      );
      const link = kernel.attachUprobes('on_call', target.path, [target.first, target.second]);
      await target.call(Buffer.from([5, 9]));
      const hits = drainHits(kernel);
      assert.deepEqual(
        hits.map(({ cookie, tgid, argument }) => [cookie, tgid, argument]),
        [
          [target.first.cookie, target.pid, 5],
          [target.second.cookie, target.pid, 5],
          [target.first.cookie, target.pid, 9],
          [target.second.cookie, target.pid, 9],
        ],
      );
      assert.equal(hits[0]?.fsbase, 0x12345678000n, 'thread pointer, through CO-RE');
      assert.equal(wordOf(kernel, '.bss', 0), 4n);
      link[Symbol.dispose]();
      link[Symbol.dispose]();
      await target.call(Buffer.from([1]));
      assert.deepEqual(drainHits(kernel), []);
    }
    assert.deepEqual(heldDescriptors(), before);
  });

  test(`${mode}: a failed attach leaves nothing`, async (t) => {
    if (!needsMode(t, mode, since, available())) return;
    await using target = await startTarget();
    using kernel = openKernelWith(kernelOptions(['on_call']), mode);
    const before = heldDescriptors();
    const outside = { offset: fileOffset(1 << 20), cookie: 3n };
    const attach = () => kernel.attachUprobes('on_call', target.path, [target.first, outside]);
    assert.throws(attach, /Cannot attach on_call to .*target at 0x.*E[A-Z]+ \(\d+\)/);
    assert.throws(() => kernel.attachUprobes('on_call', `${target.path}-nowhere`, [target.first]), /ENOENT/);
    assert.throws(() => kernel.attachUprobes('on_call', target.path, []), /no sites given/);
    assert.deepEqual(heldDescriptors(), before);
    await target.call(Buffer.from([5]));
    assert.deepEqual(drainHits(kernel), []);
  });
}

test('two programs of one section, tail call into an empty table', async (t) => {
  if (!needsUprobes(t)) return;
  await using target = await startTarget();
  using kernel = openKernel(kernelOptions(['on_call', 'on_call_tail']));
  using _first = kernel.attachUprobes('on_call', target.path, [target.first]);
  using _second = kernel.attachUprobes('on_call_tail', target.path, [target.second]);
  await target.call(Buffer.from([5]));
  assert.deepEqual(
    drainHits(kernel).map(({ argument }) => argument),
    [5, 1005],
  );
});

test('closing gives everything back, also to the kernel', async (t) => {
  if (!needsUprobes(t)) return;
  const before = heldDescriptors();
  await using target = await startTarget();
  const kernel = openKernel(kernelOptions(['on_call', 'on_exec']));
  kernel.attachUprobes('on_call', target.path, [target.first]);
  kernel.attachTracepoint('on_exec');
  const kinds = ['prog_id', 'link_id', 'map_id'] as const;
  const ids = kinds.map((kind) => [kind, heldIds(kind)] as const);
  for (const [kind, held] of ids) assert.ok(held.length >= 2, `${kind}: ${held}`);
  kernel[Symbol.dispose]();
  kernel[Symbol.dispose]();
  assert.deepEqual(heldDescriptors(), before);
  const alive = () => ids.flatMap(([kind, held]) => aliveIds(kind, held).map((id) => `${kind} ${id}`));
  for (let tries = 0; alive().length > 0 && tries < 50; tries += 1) await sleep(100); // freed after a grace period
  assert.deepEqual(alive(), []);
  assert.throws(() => kernel.ring.drain(() => {}, 1), /it is closed/);
  assert.throws(() => kernel.map('ring'), /the kernel side is closed/);
  assert.throws(() => kernel.attachTracepoint('on_exec'), /the kernel side is closed/);
});

const FAILURES: readonly (readonly [string, RegExp])[] = [
  [
    'needs_missing_member',
    /Cannot load program needs_missing_member: EINVAL \(22\)\nthis kernel has no task_struct\.member_that_is_nowhere \(wanted by needs_missing_member\)/,
  ],
  [
    'out_of_bounds',
    /Cannot load program out_of_bounds: EINVAL \(22\)\n[\s\S]* {2}; put\(0, count\[task->tgid\]\)[^\n]*\n[\s\S]*\n {2}\d+: \(0f\) r0 \+= r1\n[\s\S]*math between map_value pointer/,
  ],
  ['no_tracepoint', /Cannot load no_tracepoint: this kernel has no tracepoint tracepoint_that_is_nowhere/],
  ['nowhere', /Cannot load program nowhere: the object has no such program/],
  ['put', /Cannot load program put: the object has no such program/],
];

for (const [program, message] of FAILURES) {
  test(`${program} does not load, says why, and leaves nothing`, (t) => {
    if (!loads(t)) return;
    const before = heldDescriptors();
    assert.throws(
      () => openKernel(kernelOptions(['on_exec', program])),
      (error: Error) => {
        assert.match(error.message, message);
        assert.ok(error.message.split('\n').length < 12, error.message);
        return true;
      },
    );
    assert.deepEqual(heldDescriptors(), before);
  });
}

test('programs are loaded side by side when they are asked for, once', async (t) => {
  if (!loads(t)) return;
  const before = heldDescriptors();
  {
    using kernel = openKernel(kernelOptions([]));
    assert.throws(() => kernel.attachTracepoint('on_exec'), /it is not loaded/);
    await Promise.all([kernel.load(['on_exec', 'on_call']), kernel.load(['on_exec'])]);
    const held = heldDescriptors();
    await kernel.load(['on_call', 'on_exec']);
    assert.deepEqual(heldDescriptors(), held);
    kernel.attachTracepoint('on_exec');
  }
  assert.deepEqual(heldDescriptors(), before);
});

test('a program that does not load says why; those beside it are loaded', async (t) => {
  if (!loads(t)) return;
  const before = heldDescriptors();
  {
    using kernel = openKernel(kernelOptions([]));
    const [, message] = FAILURES.find(([program]) => program === 'out_of_bounds') ?? [];
    await assert.rejects(kernel.load(['on_exec', 'out_of_bounds']), message ?? /never/);
    kernel.attachTracepoint('on_exec');
  }
  assert.deepEqual(heldDescriptors(), before);
});

test('a kernel side that is closed while a program loads keeps nothing', async (t) => {
  if (!loads(t)) return;
  const before = heldDescriptors();
  const kernel = openKernel(kernelOptions([]));
  const loading = kernel.load(['on_exec']);
  kernel[Symbol.dispose]();
  await loading;
  assert.deepEqual(heldDescriptors(), before);
});

test('wrong constants are refused', (t) => {
  if (!loads(t)) return;
  const open = (constants: Record<string, number | bigint>) => () =>
    openKernel(kernelOptions(['on_exec'], { constants }));
  assert.throws(open({ nowhere: 1 }), /Cannot set constant nowhere: no such variable in \.rodata/);
  assert.throws(open({ counted: 1 }), /Cannot set constant counted: no such variable in \.rodata/);
  assert.throws(open({ flag: 256 }), /Cannot set constant flag: 256 does not fit 8 bits/);
});

test('programs attach only in their own way', async (t) => {
  if (!loads(t)) return;
  await using target = await startTarget();
  using kernel = openKernel(kernelOptions(['on_call', 'on_exec']));
  assert.throws(() => kernel.attachTracepoint('on_call'), /it is a uprobe program/);
  assert.throws(
    () => kernel.attachUprobes('on_exec', target.path, [target.first]),
    /it is a tracepoint program/,
  );
  assert.throws(() => kernel.attachTracepoint('on_state'), /it is not loaded/);
});
