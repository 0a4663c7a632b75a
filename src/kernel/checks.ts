import { arch, release } from 'node:os';
import { messageOf } from '../base/errors.ts';
import type { Btf } from './btf.ts';
import {
  CAPABILITIES,
  type CapabilityName,
  effectiveCapabilities,
  hasCapability,
  missingCapabilities,
} from './capabilities.ts';
import {
  HELPER,
  hasPrivateStacks,
  type Lockdown,
  type Probe,
  probeHelper,
  probeMultiLink,
  probePerfUprobe,
  probePidNamespace,
  probePreemptionGuard,
  probeRingBuffer,
  probeTracepoint,
  probeWriting,
  readKernelBtf,
  readLockdown,
  readMemoryLockLimit,
} from './features.ts';
import { kernelIsAtLeast, OLDEST_KERNEL } from './kernel-version.ts';
import { ERRNO } from './libc.ts';
import { type PropagationNeed, propagationNeeds } from './propagation-checks.ts';

/** `ok`: as it should be; `reduced`: tracing works with less or dearer; `fatal`: tracing can't work. */
export type Verdict = 'ok' | 'reduced' | 'fatal';

export interface Check {
  readonly id: string;
  readonly title: string;
  readonly verdict: Verdict;
  readonly found: string;
  /** What follows from it, and what to do. Empty when all is well. */
  readonly meaning: string;
}

/** Everything that decides whether tracing works on this machine. Nothing is attached, nothing stays loaded. */
export function checkMachine(): Check[] {
  const btf = attempt(readKernelBtf);
  const checks = [
    kernelCheck(release()),
    architectureCheck(arch()),
    ...capabilityChecks(effectiveCapabilities()),
    btfCheck(btf),
  ];
  const multi = probeMultiLink();
  return [
    ...checks,
    probeCheck(
      'ring_buffer',
      'ring buffer',
      probeRingBuffer(),
      'fatal',
      'Events can not reach the agent; the kernel must allow bpf(2) (see seccomp of the container)',
    ),
    probeCheck(
      'uprobe_multi',
      'uprobe_multi link',
      multi,
      'reduced',
      'Needs kernel 6.6: probes are attached one by one instead, which takes longer at start',
    ),
    perfEventCheck(multi.ok, probePerfUprobe()),
    ...(btf.value ? btfChecks(btf.value) : []),
    ...propagationNeeds().map(propagationCheck),
    lockdownCheck(readLockdown()),
    pidNamespaceCheck(probePidNamespace()),
    memoryLockCheck(readMemoryLockLimit()),
  ];
}

interface Attempt<T> {
  readonly value: T | undefined;
  readonly error: string | undefined;
}

function attempt<T>(read: () => T): Attempt<T> {
  try {
    return { value: read(), error: undefined };
  } catch (error) {
    return { value: undefined, error: messageOf(error) };
  }
}

function check(id: string, title: string, verdict: Verdict, found: string, meaning: string): Check {
  return { id, title, verdict, found, meaning: verdict === 'ok' ? '' : meaning };
}

/** A refusal says nothing about the feature: only that this process may not ask. */
function probeCheck(id: string, title: string, probe: Probe, otherwise: Verdict, meaning: string): Check {
  const notAllowed = probe.errno === ERRNO.EPERM || probe.errno === ERRNO.EACCES;
  const advice = notAllowed
    ? 'Not allowed to try: see the capabilities, and the seccomp profile of the container'
    : meaning;
  return check(id, title, probe.ok ? 'ok' : otherwise, probe.found, advice);
}

export function kernelCheck(version: string): Check {
  const verdict = kernelIsAtLeast(OLDEST_KERNEL, version) ? 'ok' : 'fatal';
  return check('kernel', 'kernel version', verdict, version, `At least ${OLDEST_KERNEL} is needed`);
}

export function architectureCheck(found: string): Check {
  return check(
    'architecture',
    'architecture',
    found === 'x64' ? 'ok' : 'fatal',
    found,
    'Only x86-64 is supported',
  );
}

export function capabilityChecks(effective: bigint, multiLink = kernelIsAtLeast('6.6')): Check[] {
  const missing = missingCapabilities(effective, multiLink);
  const names = (Object.keys(CAPABILITIES) as CapabilityName[]).filter((name) => name !== 'CAP_NET_ADMIN');
  return names.map((name) => {
    const has = hasCapability(effective, name);
    const verdict = missing.includes(name) ? 'fatal' : 'ok';
    const found = has ? 'yes' : verdict === 'ok' ? 'no, not needed' : 'no';
    return check(
      name.toLowerCase(),
      name,
      verdict,
      found,
      `Needed to ${CAPABILITIES[name].use}; run as root or grant it`,
    );
  });
}

/** Of all that the agent does, only calls' trace context needs these. */
export function propagationCheck({ id, title, ok, found }: PropagationNeed): Check {
  const meaning = 'Needed to write trace context into plaintext requests; all else works without';
  return check(id, `${title} (trace context in calls)`, ok ? 'ok' : 'reduced', found, meaning);
}

function btfCheck(btf: Attempt<Btf | undefined>): Check {
  const found = btf.value ? `${btf.value.count} types` : (btf.error ?? 'no /sys/kernel/btf/vmlinux');
  return check(
    'btf',
    'kernel type information',
    btf.value ? 'ok' : 'fatal',
    found,
    'The kernel must be built with CONFIG_DEBUG_INFO_BTF=y',
  );
}

function perfEventCheck(hasMultiLink: boolean, probe: Probe): Check {
  const verdict = probe.ok || hasMultiLink ? 'ok' : 'fatal';
  return check(
    'perf_uprobe',
    'perf event uprobes',
    verdict,
    probe.found,
    'Without uprobe_multi and without these no function can be probed',
  );
}

function btfChecks(btf: Btf): Check[] {
  const socket = ['sock_recv_length', 'sock_send_length', 'inet_sock_set_state'].map((name) => {
    const meaning =
      'Needs kernel 6.3: plaintext HTTP of programs without hyper is not seen, hyper servers are; no trace context is written into plaintext requests';
    return probeCheck(
      `tracepoint_${name}`,
      `tracepoint ${name}`,
      probeTracepoint(btf, name),
      'reduced',
      meaning,
    );
  });
  const exec = probeTracepoint(btf, 'sched_process_exec');
  return [
    probeCheck(
      'tracepoint_exec',
      'tracepoint sched_process_exec',
      exec,
      'reduced',
      'Programs started later are found by polling only',
    ),
    ...socket,
    probeCheck(
      'socket_storage',
      'socket storage in tracepoints',
      probeHelper(btf, 'tracepoint', HELPER.sk_storage_get),
      'reduced',
      'Needs kernel 5.11: the socket tier is off',
    ),
    probeCheck(
      'bpf_loop',
      'bpf_loop',
      probeHelper(btf, 'uprobe', HELPER.loop),
      'fatal',
      'Needs kernel 5.17: request heads can not be scanned',
    ),
    probeCheck(
      'attach_cookie',
      'attach cookies',
      probeHelper(btf, 'uprobe', HELPER.get_attach_cookie),
      'fatal',
      'Needs kernel 5.15: a probe can not tell its binary',
    ),
    probeCheck(
      'message_threads',
      'thread storage in programs on messages',
      probeHelper(btf, 'message', HELPER.task_storage_get),
      'reduced',
      'Plaintext requests that a thread makes outside Tokio tasks, with a client that is not probed, get no trace context',
    ),
    writingCheck(probeWriting(btf)),
    preemptionCheck(probePreemptionGuard(btf), hasPrivateStacks(btf)),
  ];
}

/** Off unless it is asked for, so nothing is missing without it. */
export function writingCheck({ ok, found }: Probe): Check {
  const said = ok ? 'possible' : `not possible: ${found}; not needed without --inject-tls`;
  return check('inject_tls', 'trace context under TLS', 'ok', said, '');
}

/** On stacks of their own, programs are safe without the guard. */
export function preemptionCheck(probe: Probe, privateStacks: boolean): Check {
  const verdict = probe.ok || !privateStacks ? 'ok' : 'reduced';
  const found = probe.ok ? probe.found : `${probe.found}${verdict === 'ok' ? ', not needed' : ''}`;
  return check(
    'preempt_disable',
    'bpf_preempt_disable',
    verdict,
    found,
    'Records can be mixed up when a probe is preempted',
  );
}

export function lockdownCheck(lockdown: Lockdown): Check {
  const verdict = lockdown === 'confidentiality' ? 'fatal' : 'ok';
  const found = lockdown === 'unknown' ? 'unknown (securityfs not mounted or no lockdown module)' : lockdown;
  return check(
    'lockdown',
    'kernel lockdown',
    verdict,
    found,
    'In this mode BPF programs may not read kernel memory; boot with lockdown=integrity or none',
  );
}

function pidNamespaceCheck(probe: Probe): Check {
  return probeCheck(
    'pid_namespace',
    'process id namespace',
    probe,
    'fatal',
    "Share the host's: docker run --pid=host, hostPID: true in Kubernetes",
  );
}

/** Floor 5.15 means that BPF memory is always charged to the memory cgroup (5.11) and never to this limit. */
function memoryLockCheck(limit: string): Check {
  return check('memory_lock', 'locked-memory limit', 'ok', `${limit}, not needed since kernel 5.11`, '');
}
