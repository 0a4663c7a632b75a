import type { Config } from '../config.ts';
import type { Btf } from '../kernel/btf.ts';
import { effectiveCapabilities, hasCapability } from '../kernel/capabilities.ts';
import { findCgroup2 } from '../kernel/cgroup.ts';
import { probeWriting } from '../kernel/features.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { ERRNO, SystemCallError } from '../kernel/libc.ts';
import { visitConnections } from '../kernel/sockets.ts';

/** Writing trace context into plaintext requests: the programs that do it, and the sockets they do it on. */
export const INJECTION = {
  message: 'client_message',
  established: 'client_established',
  sockets: 'injected_sockets',
} as const;

/** What is in the way of it. */
export interface Obstacle {
  readonly reason: string;
  /** The user has not asked for it to be off. */
  readonly unexpected: boolean;
}

/** Where connections are noticed, or why context is not written. */
export type InjectionChoice = { readonly cgroup: string } | Obstacle;

const NOT_NAMED = 'OTEL_PROPAGATORS does not name tracecontext, the one format that is written';

export function chooseInjection({ propagators }: Config, socketTier: boolean): InjectionChoice {
  if (!propagators.includes('tracecontext')) return { reason: NOT_NAMED, unexpected: false };
  if (!socketTier)
    return { reason: 'this kernel (below 6.3) does not show bytes on sockets', unexpected: true };
  if (!hasCapability(effectiveCapabilities(), 'CAP_NET_ADMIN'))
    return { reason: 'CAP_NET_ADMIN is missing', unexpected: true };
  const cgroup = findCgroup2();
  return cgroup === undefined ? { reason: 'no cgroup v2 is mounted', unexpected: true } : { cgroup };
}

/** Why context is not written under TLS; undefined when it is. Asked for by the user, so what is in the way is told. */
export function chooseTlsInjection(
  { injectTls, propagators }: Config,
  btf: Btf | undefined,
): Obstacle | undefined {
  if (!injectTls) return { reason: 'it was not asked for (--inject-tls)', unexpected: false };
  if (!propagators.includes('tracecontext')) return { reason: NOT_NAMED, unexpected: true };
  const writing = btf && probeWriting(btf);
  return writing?.ok
    ? undefined
    : { reason: writing?.found ?? 'no kernel type information', unexpected: true };
}

/** In this order: a socket has the program of its map from its addition on. */
export function attachInjection(kernel: Kernel, cgroup: string): void {
  kernel.attachToSockets(INJECTION.message, INJECTION.sockets);
  kernel.attachToCgroup(INJECTION.established, cgroup);
}

/**
 * Adds the connections that a process has begun so far; how many could not be added. The kernel says EBUSY of one that
 * is there already, and of one that another owner of such a map has.
 */
export function addConnections(kernel: Kernel, pid: number): number {
  const sockets = kernel.map(INJECTION.sockets);
  let failed = 0;
  visitConnections(pid, ({ fd, cookie }) => {
    const [key, value] = [Buffer.alloc(8), Buffer.alloc(8)];
    key.writeBigUInt64LE(cookie);
    value.writeBigUInt64LE(BigInt(fd));
    try {
      sockets.add(key, value);
    } catch (error) {
      if (!isNotEstablished(error) && !sockets.lookup(key)) failed++;
    }
  });
  return failed;
}

/** EOPNOTSUPP: it is closing. */
function isNotEstablished(error: unknown): boolean {
  return error instanceof SystemCallError && error.errno === ERRNO.EOPNOTSUPP;
}
