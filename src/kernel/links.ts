import { closeSync, openSync, readFileSync } from 'node:fs';
import {
  ATTACH_TYPE,
  PROG_TYPE,
  tryAttachToSockets,
  tryLinkCgroup,
  tryLinkPerfEvent,
  tryLinkUprobeMulti,
  tryLoadProgram,
  tryOpenRawTracepoint,
} from './bpf-syscall.ts';
import { OPCODE } from './instructions.ts';
import type { Link, UprobeSite } from './kernel.ts';
import { AttributeBlock, cString, ERRNO, errnoName, SYS, SystemCallError, syscall } from './libc.ts';

/** How uprobes are attached: one link for all sites (kernel 6.6), or one perf event a site. */
export type UprobeMode = 'uprobe_multi' | 'perf_event';

/** `r0 = 0; exit` */
export const TRIVIAL_PROGRAM = Buffer.from([OPCODE.MOV64_K, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);

/**
 * Asks for a uprobe_multi link on a directory: a kernel that knows the link type says EBADF (not a regular
 * file), an older one EINVAL. Nothing is attached in either case. Returns the errno.
 */
export function probeUprobeMulti(): number {
  const program = tryLoadProgram({
    name: 'probe_multi',
    type: PROG_TYPE.KPROBE,
    expectedAttachType: ATTACH_TYPE.TRACE_UPROBE_MULTI,
    instructions: TRIVIAL_PROGRAM,
    license: 'GPL',
    attachBtfId: 0,
  });
  if (program < 0) return -program;
  const link = tryLinkUprobeMulti(program, '/', new BigUint64Array(1), undefined);
  closeSync(program);
  if (link >= 0) closeSync(link);
  return link < 0 ? -link : 0;
}

export function detectUprobeMode(): UprobeMode {
  return probeUprobeMulti() === ERRNO.EBADF ? 'uprobe_multi' : 'perf_event';
}

/** A link that owns descriptors; closing the last reference detaches. */
function linkOf(description: string, fds: readonly number[], onDispose: (link: Link) => void): Link {
  let open = true;
  const link: Link = {
    description,
    [Symbol.dispose]() {
      if (!open) return;
      open = false;
      closeAll(fds);
      onDispose(link);
    },
  };
  return link;
}

/** In reverse: links before the events they hang on. */
function closeAll(fds: readonly number[]): void {
  for (const fd of fds.toReversed()) closeSync(fd);
}

export function linkTracepoint(program: string, programFd: number, onDispose: (link: Link) => void): Link {
  const fd = tryOpenRawTracepoint(programFd);
  if (fd < 0) throw new SystemCallError(`attach ${program}`, -fd);
  return linkOf(program, [fd], onDispose);
}

export function attachToSockets(program: string, programFd: number, mapFd: number): void {
  const error = tryAttachToSockets(programFd, mapFd);
  if (error < 0) throw new SystemCallError(`attach ${program} to its map of sockets`, -error);
}

export function linkCgroup(
  program: string,
  programFd: number,
  folder: string,
  onDispose: (link: Link) => void,
): Link {
  const cgroup = openSync(folder, 'r');
  const fd = tryLinkCgroup(programFd, cgroup);
  closeSync(cgroup);
  if (fd < 0) throw new SystemCallError(`attach ${program} to ${folder}`, -fd);
  return linkOf(`${program} on ${folder}`, [fd], onDispose);
}

export interface UprobeAttachment {
  readonly program: string;
  readonly programFd: number;
  readonly path: string;
  readonly sites: readonly UprobeSite[];
  readonly mode: UprobeMode;
}

export function linkUprobes(attachment: UprobeAttachment, onDispose: (link: Link) => void): Link {
  const { program, path, sites } = attachment;
  if (sites.length === 0) throw new Error(`Cannot attach ${program} to ${path}: no sites given`);
  const fds = attachment.mode === 'uprobe_multi' ? [linkMulti(attachment)] : linkPerfEvents(attachment);
  return linkOf(`${program} on ${path}, ${sites.length} sites`, fds, onDispose);
}

function linkMulti({ program, programFd, path, sites }: UprobeAttachment): number {
  const offsets = BigUint64Array.from(sites, (site) => BigInt(site.offset));
  const cookies = BigUint64Array.from(sites, (site) => site.cookie);
  const fd = tryLinkUprobeMulti(programFd, path, offsets, cookies);
  if (fd >= 0) return fd;
  throw new SystemCallError(`attach ${program} to ${path} at ${describeSites(sites)}`, -fd);
}

function describeSites(sites: readonly UprobeSite[]): string {
  const shown = sites.slice(0, 4).map((site) => `0x${site.offset.toString(16)}`);
  return sites.length > shown.length
    ? `${shown.join(', ')} and ${sites.length - shown.length} more`
    : shown.join(', ');
}

const PERF_TYPE_FILE = '/sys/bus/event_source/devices/uprobe/type';
const PERF_ATTR_SIZE = 112;
const PERF_FLAG_FD_CLOEXEC = 8n;
const PERF_EVENT_IOC_ENABLE = 0x2400n;
const ALL = (1n << 64n) - 1n; // -1: any process; no group

/** Descriptors: event, its link, event, its link… All or nothing. */
function linkPerfEvents({ program, programFd, path, sites }: UprobeAttachment): number[] {
  const type = Number(readFileSync(PERF_TYPE_FILE, 'latin1'));
  const fds: number[] = [];
  try {
    for (const site of sites) {
      const where = `attach ${program} to ${path} at 0x${site.offset.toString(16)}`;
      const event = openUprobeEvent(type, path, site, where);
      fds.push(event);
      const link = tryLinkPerfEvent(programFd, event, site.cookie);
      if (link < 0) throw new SystemCallError(where, -link);
      fds.push(link);
      const enabled = syscall(SYS.ioctl, BigInt(event), PERF_EVENT_IOC_ENABLE, 0n);
      if (enabled < 0) throw new SystemCallError(`${where} (enable)`, -enabled);
    }
    return fds;
  } catch (error) {
    closeAll(fds);
    throw error;
  }
}

/** perf_event_attr: type at 0, size at 4, uprobe_path at 56, probe_offset at 64. CPU 0 is enough: a uprobe fires on all. */
function openUprobeEvent(type: number, path: string, site: UprobeSite, where: string): number {
  const block = new AttributeBlock(PERF_ATTR_SIZE)
    .u32(0, type)
    .u32(4, PERF_ATTR_SIZE)
    .pointer(56, cString(path))
    .u64(64, BigInt(site.offset));
  const fd = block.pass((address) =>
    syscall(SYS.perf_event_open, address, ALL, 0n, ALL, PERF_FLAG_FD_CLOEXEC),
  );
  if (fd < 0) throw new Error(`Cannot ${where}: perf_event_open says ${errnoName(-fd)}`);
  return fd;
}
