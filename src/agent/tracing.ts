import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import type { Loss } from '../cli/status.ts';
import type { Config } from '../config.ts';
import { COUNTER } from '../events/layout.ts';
import { probeTracepoint, readKernelBtf } from '../kernel/features.ts';
import type { Kernel, Link } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import { encodeU32, kernelConstants } from './kernel-values.ts';

const OBJECT = new URL('../../../bpf/agent.bpf.o', import.meta.url);
/** 8 MiB hold 0.2 s of 100,000 requests a second, at some 400 bytes each. */
const RING_SIZE = 1 << 23;

/** Tracepoints that see HTTP/1 on sockets; kernel 6.3 and later. */
const SOCKET_PROGRAMS = ['socket_received', 'socket_sent', 'socket_state'] as const;
const PROCESS_PROGRAMS = ['process_exec', 'process_exit'] as const;

/** Counters of the kernel side that mean loss, by the name the status line shows. */
const LOSSES = [
  ['ring full', COUNTER.RING_FULL],
  ['no scratch memory', COUNTER.SCRATCH_BUSY],
  ['unreadable memory', COUNTER.READ_FAILED],
  ['heads cut', COUNTER.HEAD_TRUNCATED],
  ['connections lost', COUNTER.CONNECTION_LOST],
  ['unknown system calls', COUNTER.SYSCALL_UNKNOWN],
  ['http/2 connections', COUNTER.HTTP2],
  ['deep pipelines', COUNTER.PIPELINE_DEEP],
  ['map full', COUNTER.MAP_FULL],
  ['ambiguous routes', COUNTER.ROUTE_UNKNOWN],
] as const;

/** Why client spans have no parent: enum orphan. */
const ORPHANS = [
  ['no task', COUNTER.NO_TASK],
  ['no request in its task', COUNTER.NO_CONTEXT],
  ['several requests in its task', COUNTER.CONTEXT_SHARED],
  ['caller unknown', COUNTER.CALL_UNLINKED],
] as const;

/** The kernel side, with programs as they are needed. Disposing detaches everything. */
export class Tracing implements Disposable {
  readonly kernel: Kernel;
  /** The kernel has the socket tracepoints. */
  readonly socketTier: boolean;
  readonly #tracepoints: readonly string[];
  readonly #links: Link[] = [];

  constructor(config: Config) {
    const socketTier = hasSocketTracepoints();
    this.socketTier = socketTier;
    const slots = scratchSlots(cpus().length);
    this.#tracepoints = [...PROCESS_PROGRAMS, ...(socketTier ? SOCKET_PROGRAMS : [])];
    this.kernel = openKernel({
      object: readFileSync(OBJECT),
      ringSize: RING_SIZE,
      constants: kernelConstants(config, slots),
      programs: [],
      mapSizes: { scratches: slots },
    });
  }

  async attachTracepoints(): Promise<void> {
    await this.kernel.load(this.#tracepoints);
    for (const program of this.#tracepoints) this.#links.push(this.kernel.attachTracepoint(program));
  }

  losses(): Loss[] {
    return this.#read(LOSSES);
  }

  /** Client requests without a parent by reason. No loss: most programs also make requests of their own accord. */
  orphans(): Loss[] {
    return this.#read(ORPHANS);
  }

  #read(named: readonly (readonly [name: string, index: number])[]): Loss[] {
    const counters = this.kernel.map('counters');
    return named.map(([name, index]) => ({ name, count: sumOfCpus(counters.lookup(encodeU32(index))) }));
  }

  [Symbol.dispose](): void {
    this.kernel[Symbol.dispose]();
  }
}

function hasSocketTracepoints(): boolean {
  const btf = readKernelBtf();
  const names = ['sock_recv_length', 'sock_send_length'];
  return btf !== undefined && names.every((name) => probeTracepoint(btf, name).ok);
}

/** Four a CPU, a power of two. */
function scratchSlots(cpuCount: number): number {
  let slots = 64;
  while (slots < cpuCount * 4) slots *= 2;
  return slots;
}

function sumOfCpus(values: Uint8Array | undefined): number {
  if (!values) return 0;
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength);
  let sum = 0;
  for (let at = 0; at + 8 <= values.byteLength; at += 8) sum += Number(view.getBigUint64(at, true));
  return sum;
}
