import { readFileSync } from 'node:fs';
import { kernelIsAtLeast } from './kernel-version.ts';

/** Bit numbers of include/uapi/linux/capability.h and what the agent needs each for. */
export const CAPABILITIES = {
  CAP_NET_ADMIN: { bit: 12, use: 'write trace context into requests on sockets' },
  CAP_SYS_PTRACE: { bit: 19, use: "look at other users' processes and read route tables from their memory" },
  CAP_SYS_ADMIN: {
    bit: 21,
    use: 'attach probes one by one on kernels before 6.6; stands in for CAP_BPF and CAP_PERFMON',
  },
  CAP_SYS_RESOURCE: { bit: 24, use: 'raise the locked-memory limit (kernels before 5.11 only)' },
  CAP_PERFMON: { bit: 38, use: 'attach probes and read memory from BPF programs' },
  CAP_BPF: { bit: 39, use: 'load BPF programs and maps' },
} as const;
export type CapabilityName = keyof typeof CAPABILITIES;

/** Effective capabilities of this process, one bit each. */
export function effectiveCapabilities(status = readFileSync('/proc/self/status', 'latin1')): bigint {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (hex === undefined) throw new Error('Cannot read capabilities: /proc/self/status has no CapEff line');
  return BigInt(`0x${hex}`);
}

export const hasCapability = (effective: bigint, name: CapabilityName): boolean =>
  ((effective >> BigInt(CAPABILITIES[name].bit)) & 1n) === 1n;

/**
 * Capabilities that tracing can't do without and that `effective` lacks. Without the uprobe_multi link a probe is
 * a perf event, which the kernel gives to CAP_SYS_ADMIN only (EACCES with CAP_PERFMON, seen on 6.18).
 */
export function missingCapabilities(effective: bigint, multiLink = kernelIsAtLeast('6.6')): CapabilityName[] {
  const admin = hasCapability(effective, 'CAP_SYS_ADMIN');
  const bpf: readonly CapabilityName[] = multiLink ? ['CAP_BPF', 'CAP_PERFMON'] : ['CAP_SYS_ADMIN'];
  const required: readonly CapabilityName[] = admin ? ['CAP_SYS_PTRACE'] : [...bpf, 'CAP_SYS_PTRACE'];
  return required.filter((name) => !hasCapability(effective, name));
}

/** One sentence for the user: which privileges this process lacks for tracing; undefined when it has them. */
export function missingPrivilege(
  effective: bigint = effectiveCapabilities(),
  multiLink = kernelIsAtLeast('6.6'),
): string | undefined {
  const missing = missingCapabilities(effective, multiLink);
  if (missing.length === 0) return undefined;
  const reasons = missing.map((name) => `${name} (${CAPABILITIES[name].use})`);
  return `missing ${reasons.join(', ')}; run as root or grant them`;
}
