import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  CAPABILITIES,
  effectiveCapabilities,
  missingCapabilities,
  missingPrivilege,
} from './capabilities.ts';
import {
  architectureCheck,
  capabilityChecks,
  checkMachine,
  kernelCheck,
  lockdownCheck,
  preemptionCheck,
} from './checks.ts';
import { probeHelper, probeTracepoint, readKernelBtf, readLockdown } from './features.ts';
import { kernelIsAtLeast, kernelVersion, unsupportedKernel } from './kernel-version.ts';
import { heldDescriptors, needs } from './test-support.ts';

const bits = (...names: (keyof typeof CAPABILITIES)[]): bigint =>
  names.reduce((mask, name) => mask | (1n << BigInt(CAPABILITIES[name].bit)), 0n);

test('capabilities: which are missing, and what they are for', () => {
  assert.equal(
    effectiveCapabilities('Name:\tx\nCapEff:\t000000c000000000\n'),
    bits('CAP_BPF', 'CAP_PERFMON'),
  );
  assert.throws(() => effectiveCapabilities('Name: x\n'), /has no CapEff line/);
  assert.deepEqual(missingCapabilities(bits('CAP_BPF', 'CAP_PERFMON', 'CAP_SYS_PTRACE'), true), []);
  assert.deepEqual(missingCapabilities(bits('CAP_SYS_ADMIN', 'CAP_SYS_PTRACE'), true), []);
  assert.deepEqual(missingCapabilities(bits('CAP_SYS_ADMIN'), true), ['CAP_SYS_PTRACE']);
  assert.deepEqual(missingCapabilities(0n, true), ['CAP_BPF', 'CAP_PERFMON', 'CAP_SYS_PTRACE']);
  assert.match(
    missingPrivilege(bits('CAP_BPF', 'CAP_SYS_PTRACE'), true) ?? '',
    /^missing CAP_PERFMON \(attach probes .*\); run as root/,
  );
  assert.deepEqual(missingCapabilities(bits('CAP_BPF', 'CAP_PERFMON', 'CAP_SYS_PTRACE'), false), [
    'CAP_SYS_ADMIN',
  ]);
  assert.equal(missingPrivilege(bits('CAP_BPF', 'CAP_PERFMON', 'CAP_SYS_PTRACE'), true), undefined);
  const fatal = capabilityChecks(0n, true).filter((check) => check.verdict === 'fatal');
  assert.deepEqual(fatal.map((check) => check.title).sort(), ['CAP_BPF', 'CAP_PERFMON', 'CAP_SYS_PTRACE']);
});

test('kernel versions', () => {
  assert.deepEqual(kernelVersion('6.18.44-fc-v669'), [6, 18]);
  assert.equal(kernelIsAtLeast('6.6', '6.18.0'), true);
  assert.equal(kernelIsAtLeast('6.18', '6.6.0'), false);
  assert.equal(kernelIsAtLeast('5.15', '6.1'), true);
  assert.equal(kernelIsAtLeast('6.1', '5.19'), false);
  assert.throws(() => kernelVersion('linux'), /Cannot read the kernel's version: linux/);
  assert.equal(kernelCheck('5.10.0-8-amd64').verdict, 'fatal');
  assert.equal(kernelCheck('5.17.0').verdict, 'ok');
  assert.equal(architectureCheck('arm64').verdict, 'fatal');
  assert.equal(unsupportedKernel('6.1.0', 'x64'), undefined);
  assert.equal(unsupportedKernel('5.10.0', 'x64'), 'kernel 5.10.0 is too old: 5.17 or later is needed');
  assert.match(unsupportedKernel('6.1.0', 'arm64') ?? '', /only x86-64/);
});

test('lockdown: read from the file, only confidentiality forbids tracing', () => {
  const directory = mkdtempSync(join(tmpdir(), 'lockdown-'));
  const path = join(directory, 'lockdown');
  for (const mode of ['none', 'integrity', 'confidentiality'] as const) {
    writeFileSync(path, `${'none integrity confidentiality'.replace(mode, `[${mode}]`)}\n`);
    assert.equal(readLockdown(path), mode);
    assert.equal(lockdownCheck(mode).verdict, mode === 'confidentiality' ? 'fatal' : 'ok');
  }
  rmSync(directory, { recursive: true });
  assert.equal(readLockdown(path), 'unknown');
  assert.match(lockdownCheck('unknown').found, /securityfs not mounted/);
});

test('the guard against preemption is needed only where programs share stacks', () => {
  const absent = { ok: false, found: 'not in this kernel', errno: 0 };
  const verdicts = [true, false].map((privateStacks) => preemptionCheck(absent, privateStacks).verdict);
  assert.deepEqual(verdicts, ['reduced', 'ok']);
  assert.equal(preemptionCheck({ ...absent, ok: true, found: 'present' }, true).verdict, 'ok');
});

test('probes tell present from absent', (t) => {
  const btf = readKernelBtf();
  if (!needs(t, 'kernel type information', '5.15', btf !== undefined) || !btf) return;
  assert.equal(probeTracepoint(btf, 'sched_process_exec').ok, true);
  assert.equal(probeTracepoint(btf, 'nowhere').ok, false);
  const NO_SUCH_HELPER = 9999;
  const bpf_redirect = 23; // exists, but not in tracing programs
  for (const program of ['uprobe', 'tracepoint'] as const) {
    assert.equal(probeHelper(btf, program, NO_SUCH_HELPER).found, 'unknown to this kernel');
    assert.equal(probeHelper(btf, program, bpf_redirect).ok, false);
    assert.equal(probeHelper(btf, program, 5).ok, true, 'bpf_ktime_get_ns');
  }
});

test('checking the machine leaves nothing behind and explains every shortcoming', () => {
  const before = heldDescriptors();
  const checks = checkMachine();
  assert.deepEqual(heldDescriptors(), before);
  assert.equal(new Set(checks.map((check) => check.id)).size, checks.length);
  for (const check of checks) assert.equal(check.meaning === '', check.verdict === 'ok', check.title);
});
