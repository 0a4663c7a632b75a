import { ATTACH_TYPE, PROG_TYPE } from './bpf-syscall.ts';
import { BTF_KIND, type Btf } from './btf.ts';
import type { UprobeMode } from './links.ts';

/** What the section of a function says about how it is loaded. */
export interface ProgramKind {
  readonly attach: 'tracepoint' | 'uprobe' | 'sockets' | 'cgroup';
  readonly type: number;
  readonly expectedAttachType: number;
  readonly attachBtfId: number;
}

export function programKind(name: string, section: string, kernel: Btf, mode: UprobeMode): ProgramKind {
  if (section === 'uprobe.multi') {
    const expectedAttachType = mode === 'uprobe_multi' ? ATTACH_TYPE.TRACE_UPROBE_MULTI : ATTACH_TYPE.NONE;
    return { attach: 'uprobe', type: PROG_TYPE.KPROBE, expectedAttachType, attachBtfId: 0 };
  }
  if (section === 'sk_msg') return socketProgram('sockets', PROG_TYPE.SK_MSG);
  if (section === 'sockops') return socketProgram('cgroup', PROG_TYPE.SOCK_OPS);
  const tracepoint = /^tp_btf\/(.+)$/.exec(section)?.[1];
  if (tracepoint === undefined) throw new Error(`Cannot load ${name}: unknown section ${section}`);
  const attachBtfId = kernel.find(BTF_KIND.TYPEDEF, `btf_trace_${tracepoint}`);
  if (attachBtfId === undefined)
    throw new Error(`Cannot load ${name}: this kernel has no tracepoint ${tracepoint}`);
  return {
    attach: 'tracepoint',
    type: PROG_TYPE.TRACING,
    expectedAttachType: ATTACH_TYPE.TRACE_RAW_TP,
    attachBtfId,
  };
}

function socketProgram(attach: ProgramKind['attach'], type: number): ProgramKind {
  return { attach, type, expectedAttachType: ATTACH_TYPE.NONE, attachBtfId: 0 };
}
