import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { messageOf } from '../base/errors.ts';
import type { Loss } from '../cli/status.ts';
import type { Config } from '../config.ts';
import { COUNTER } from '../events/layout.ts';
import type { Btf } from '../kernel/btf.ts';
import {
  HELPER,
  probeHelper,
  probePreemptionGuard,
  probeTracepoint,
  readKernelBtf,
} from '../kernel/features.ts';
import type { Kernel, KernelOptions, Link } from '../kernel/kernel.ts';
import { openKernel } from '../kernel/open-kernel.ts';
import {
  attachInjection,
  chooseInjection,
  chooseTlsInjection,
  INJECTION,
  type InjectionChoice,
  type Obstacle,
} from './injection.ts';
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

/** Requests that went out without trace context although it was to be written into them, by reason. */
const NOT_INJECTED = [
  ['traceparent: head in pieces', COUNTER.INJECT_PIECES],
  ['traceparent: unusual head', COUNTER.INJECT_UNUSUAL],
  ['traceparent: head too large', COUNTER.INJECT_LARGE],
  ['traceparent: pipelined', COUNTER.INJECT_PIPELINED],
  ['traceparent: full socket', COUNTER.INJECT_FULL],
  ['traceparent: call unknown', COUNTER.INJECT_CALL],
  ['traceparent: old connection', COUNTER.INJECT_OLD],
  ['traceparent: no memory', COUNTER.INJECT_MEMORY],
  ['traceparent: new connection not added', COUNTER.INJECT_SOCKET],
  ['traceparent: unusual frame', COUNTER.INJECT_FRAME],
  ['traceparent: stream unknown', COUNTER.INJECT_STREAM],
  ['traceparent: frames not followed', COUNTER.INJECT_STEP],
] as const;

/** The same, for requests under TLS alone. */
const NOT_INJECTED_TLS = [
  ['traceparent: no spare capacity', COUNTER.INJECT_ROOM],
  ['traceparent: memory not writable', COUNTER.INJECT_WRITE],
  ['traceparent: HTTP/2 under TLS', COUNTER.INJECT_TLS_STREAM],
] as const;

const INJECTED = [
  ['written', COUNTER.INJECTED],
  ['written under TLS', COUNTER.INJECTED_TLS],
  ['their own', COUNTER.INJECT_OWN],
] as const;

/** Counters of the kernel side. */
export interface KernelCounts {
  readonly losses: readonly Loss[];
  /** Client requests without a parent by reason. No loss: most programs also make requests of their own accord. */
  readonly orphans: readonly Loss[];
  /** Requests with trace context. */
  readonly injected: readonly Loss[];
}

/** The kernel side, with programs as they are needed. Disposing detaches everything. */
export class Tracing implements Disposable {
  readonly kernel: Kernel;
  /** The kernel has the socket tracepoints. */
  readonly socketTier: boolean;
  readonly #tracepoints: readonly string[];
  /** Why no trace context is written; undefined when it is. */
  readonly injectionObstacle: Obstacle | undefined;
  /** The same, under TLS. */
  readonly tlsInjectionObstacle: Obstacle | undefined;
  readonly #links: Link[] = [];
  #failedConnections = 0;

  constructor(config: Config) {
    const btf = readKernelBtf();
    const socketTier = hasSocketTracepoints(btf);
    this.socketTier = socketTier;
    const slots = scratchSlots(cpus().length);
    this.#tracepoints = [...PROCESS_PROGRAMS, ...(socketTier ? SOCKET_PROGRAMS : [])];
    this.tlsInjectionObstacle = chooseTlsInjection(config, btf);
    const passesState = this.tlsInjectionObstacle === undefined ? 1 : 0;
    const options: KernelOptions = {
      object: readFileSync(OBJECT),
      ringSize: RING_SIZE,
      constants: {
        ...kernelConstants(config, slots),
        pass_tracestate: passesState,
        ...featureConstants(btf),
      },
      programs: [],
      mapSizes: { scratches: slots },
    };
    const { kernel, obstacle } = open(options, chooseInjection(config, socketTier));
    this.kernel = kernel;
    this.injectionObstacle = obstacle;
  }

  async attachTracepoints(): Promise<void> {
    await this.kernel.load(this.#tracepoints);
    for (const program of this.#tracepoints) this.#links.push(this.kernel.attachTracepoint(program));
  }

  counts(): KernelCounts {
    const injects = this.injectionObstacle === undefined;
    const injectsTls = this.tlsInjectionObstacle === undefined;
    const failed = { name: 'traceparent: old connection not added', count: this.#failedConnections };
    return {
      losses: [
        ...this.#read(LOSSES),
        ...(injects || injectsTls ? this.#read(NOT_INJECTED) : []),
        ...(injectsTls ? this.#read(NOT_INJECTED_TLS) : []),
        ...(injects ? [failed] : []),
      ],
      orphans: this.#read(ORPHANS),
      injected: injects || injectsTls ? this.#read(INJECTED) : [],
    };
  }

  /** Connections that could not be given to the kernel side. */
  countFailedConnections(count: number): void {
    this.#failedConnections += count;
  }

  #read(named: readonly (readonly [name: string, index: number])[]): Loss[] {
    const counters = this.kernel.map('counters');
    return named.map(([name, index]) => ({ name, count: sumOfCpus(counters.lookup(encodeU32(index))) }));
  }

  [Symbol.dispose](): void {
    this.kernel[Symbol.dispose]();
  }
}

interface Opened {
  readonly kernel: Kernel;
  readonly obstacle: Obstacle | undefined;
}

/** With injection where that is possible; a kernel that refuses it traces all the same. */
function open(options: KernelOptions, choice: InjectionChoice): Opened {
  if ('reason' in choice) return { kernel: openWithout(options), obstacle: choice };
  const { message, established } = INJECTION;
  let kernel: Kernel | undefined;
  try {
    kernel = openKernel({
      ...options,
      programs: [...options.programs, message, established],
      constants: { ...options.constants, pass_tracestate: 1 },
    });
    attachInjection(kernel, choice.cgroup);
    return { kernel, obstacle: undefined };
  } catch (error) {
    kernel?.[Symbol.dispose]();
    return { kernel: openWithout(options), obstacle: { reason: messageOf(error), unexpected: true } };
  }
}

/** What the running kernel lets programs do. */
function featureConstants(btf: Btf | undefined): Record<string, number> {
  if (!btf) return {};
  const threads = probeHelper(btf, 'message', HELPER.task_storage_get);
  return {
    has_preempt_guard: probePreemptionGuard(btf).ok ? 1 : 0,
    messages_see_threads: threads.ok ? 1 : 0,
  };
}

const openWithout = (options: KernelOptions) => openKernel({ ...options, unusedMaps: [INJECTION.sockets] });

function hasSocketTracepoints(btf: Btf | undefined): boolean {
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
