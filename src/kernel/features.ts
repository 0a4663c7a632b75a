import { closeSync, existsSync, readFileSync, readlinkSync } from 'node:fs';
import { ATTACH_TYPE, PROG_TYPE, tryCreateMap, tryLoadProgram } from './bpf-syscall.ts';
import { BTF_KIND, Btf, memberOf } from './btf.ts';
import { effectiveCapabilities, hasCapability } from './capabilities.ts';
import { OPCODE, setImmediate } from './instructions.ts';
import { errnoName } from './libc.ts';
import { probeUprobeMulti, TRIVIAL_PROGRAM } from './links.ts';
import { MAP_TYPE } from './map-spec.ts';
import { KERNEL_BTF } from './open-kernel.ts';

/** Outcome of trying a thing: `found` says what happened in a few words. */
export interface Probe {
  readonly ok: boolean;
  readonly found: string;
  /** 0 when it worked or no system call was involved. */
  readonly errno: number;
}

const works = (found = 'works'): Probe => ({ ok: true, found, errno: 0 });
const absent = (found: string): Probe => ({ ok: false, found, errno: 0 });
const refused = (errno: number, what = ''): Probe => ({
  ok: false,
  found: `${what}${errnoName(errno)}`,
  errno,
});

export function readKernelBtf(): Btf | undefined {
  return existsSync(KERNEL_BTF) ? new Btf(readFileSync(KERNEL_BTF), 'the kernel') : undefined;
}

export function probeRingBuffer(): Probe {
  const fd = tryCreateMap({
    name: 'probe_ring',
    type: MAP_TYPE.RINGBUF,
    keySize: 0,
    valueSize: 0,
    maxEntries: 4096,
    flags: 0,
  });
  if (fd < 0) return refused(-fd);
  closeSync(fd);
  return works();
}

export function probeMultiLink(): Probe {
  const errno = probeUprobeMulti();
  const EBADF = 9; // a directory is no file to probe: the kernel understood the request
  return errno === EBADF ? works() : refused(errno);
}

export const UPROBE_EVENT_TYPE = '/sys/bus/event_source/devices/uprobe/type';

export function probePerfUprobe(): Probe {
  return existsSync(UPROBE_EVENT_TYPE)
    ? works(`event type ${readFileSync(UPROBE_EVENT_TYPE, 'latin1').trim()}`)
    : absent('no uprobe event source');
}

/** Loads a program that does nothing on the tracepoint; it is never attached. */
export function probeTracepoint(btf: Btf, name: string): Probe {
  const attachBtfId = btf.find(BTF_KIND.TYPEDEF, `btf_trace_${name}`);
  if (attachBtfId === undefined) return absent('this kernel has no such tracepoint');
  return probeLoad(PROG_TYPE.TRACING, ATTACH_TYPE.TRACE_RAW_TP, attachBtfId, TRIVIAL_PROGRAM);
}

function probeLoad(
  type: number,
  expectedAttachType: number,
  attachBtfId: number,
  instructions: Buffer,
): Probe {
  const fd = tryLoadProgram({
    name: 'probe',
    type,
    expectedAttachType,
    attachBtfId,
    instructions,
    license: 'GPL',
  });
  if (fd < 0) return refused(-fd);
  closeSync(fd);
  return works();
}

/** Numbers of include/uapi/linux/bpf.h. */
export const HELPER = {
  probe_write_user: 36,
  sk_storage_get: 107,
  ringbuf_reserve: 131,
  task_storage_get: 156,
  get_attach_cookie: 174,
  task_pt_regs: 175,
  loop: 181,
} as const;
const LOG_SIZE = 1 << 16;

/**
 * Asks the verifier about a bare call of the helper. It complains about the missing arguments where the
 * helper exists, and about the helper where it doesn't.
 */
export function probeHelper(btf: Btf, program: 'uprobe' | 'tracepoint' | 'message', helper: number): Probe {
  const tracing = program === 'tracepoint';
  const type = { uprobe: PROG_TYPE.KPROBE, tracepoint: PROG_TYPE.TRACING, message: PROG_TYPE.SK_MSG }[
    program
  ];
  const attachBtfId = tracing ? btf.find(BTF_KIND.TYPEDEF, 'btf_trace_sys_enter') : 0;
  if (attachBtfId === undefined) return absent('this kernel has no tracepoint sys_enter');
  const call = Buffer.alloc(8);
  call[0] = OPCODE.CALL;
  setImmediate(call, 0, helper);
  const load = {
    name: 'probe_helper',
    type,
    expectedAttachType: tracing ? ATTACH_TYPE.TRACE_RAW_TP : ATTACH_TYPE.NONE,
    attachBtfId,
    instructions: Buffer.concat([call, TRIVIAL_PROGRAM]),
    license: 'GPL',
  };
  const log = Buffer.alloc(LOG_SIZE);
  const fd = tryLoadProgram(load, log);
  if (fd >= 0) closeSync(fd);
  const text = log.toString('latin1', 0, Math.max(0, log.indexOf(0)));
  if (/invalid func |unknown func |cannot use helper/.test(text)) return absent('unknown to this kernel');
  return fd >= 0 || text !== '' ? works() : refused(-fd);
}

/**
 * Whether BPF programs may write into processes. Where they may, the kernel says in its log that a program that writes is
 * being installed (`bpf_get_probe_write_proto` of kernel/trace/bpf_trace.c), for this question as for the program itself.
 */
export function probeWriting(btf: Btf): Probe {
  if (!hasCapability(effectiveCapabilities(), 'CAP_SYS_ADMIN')) return absent('CAP_SYS_ADMIN is missing');
  if (probeHelper(btf, 'uprobe', HELPER.probe_write_user).ok) return works();
  const lockdown = readLockdown();
  const mode = lockdown === 'unknown' ? '' : ` (${lockdown})`;
  return absent(`this kernel refuses bpf_probe_write_user, as under kernel lockdown${mode}`);
}

export function probeKernelFunction(btf: Btf, name: string): Probe {
  return btf.find(BTF_KIND.FUNC, name) === undefined ? absent('not in this kernel') : works('present');
}

/**
 * Whether a program may keep others away (`bpf_preempt_disable`, 6.10) while it calls functions of its own that the
 * verifier walks apart. Refused until it began to note which of these may sleep (6.15).
 */
export function probePreemptionGuard(btf: Btf): Probe {
  const guard = probeKernelFunction(btf, 'bpf_preempt_disable');
  if (!guard.ok || hasMember(btf, 'bpf_subprog_info', 'might_sleep')) return guard;
  return absent('not for programs with global functions');
}

/** Programs of one CPU share a stack (6.13): one that preempts another writes over its values. */
export const hasPrivateStacks = (btf: Btf): boolean => hasMember(btf, 'bpf_prog_aux', 'priv_stack_ptr');

function hasMember(btf: Btf, structure: string, member: string): boolean {
  const id = btf.find(BTF_KIND.STRUCT, structure);
  if (id === undefined) return false;
  return Array.from({ length: btf.length(id) }, (_, index) => memberOf(btf, id, index).name).includes(member);
}

export type Lockdown = 'none' | 'integrity' | 'confidentiality' | 'unknown';

/** `none [integrity] confidentiality`; unknown when securityfs isn't mounted or the module isn't built in. */
export function readLockdown(path = '/sys/kernel/security/lockdown'): Lockdown {
  if (!existsSync(path)) return 'unknown';
  const active = /\[(none|integrity|confidentiality)\]/.exec(readFileSync(path, 'latin1'))?.[1];
  return (active as Lockdown | undefined) ?? 'unknown';
}

/** The inode number that the kernel gives the first pid namespace, include/linux/proc_ns.h. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';

/** BPF programs see the host's process ids: an agent that sees others can't match them. */
export function probePidNamespace(): Probe {
  const namespace = readlinkSync('/proc/self/ns/pid');
  return namespace === INITIAL_PID_NAMESPACE ? works("the host's") : absent(`a container's (${namespace})`);
}

export function readMemoryLockLimit(): string {
  const limits = readFileSync('/proc/self/limits', 'latin1');
  const soft = /^Max locked memory\s+(\S+)/m.exec(limits)?.[1] ?? 'unknown';
  return /^\d+$/.test(soft) ? `${Math.round(Number(soft) / 1024)} KiB` : soft;
}
