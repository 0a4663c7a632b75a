import { closeSync } from 'node:fs';
import { ATTACH_TYPE, PROG_TYPE, tryCreateMap, tryLoadProgram } from './bpf-syscall.ts';
import { effectiveCapabilities, hasCapability } from './capabilities.ts';
import { findCgroup2 } from './cgroup.ts';
import { errnoName } from './libc.ts';
import { TRIVIAL_PROGRAM } from './links.ts';
import { MAP_TYPE } from './map-spec.ts';

/** One thing that writing trace context into requests needs. */
export interface PropagationNeed {
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  readonly found: string;
}

/** What only the writing of trace context needs: without it everything else works. Nothing stays loaded. */
export function propagationNeeds(): readonly PropagationNeed[] {
  const admin = hasCapability(effectiveCapabilities(), 'CAP_NET_ADMIN');
  const cgroup = findCgroup2();
  return [
    { id: 'cap_net_admin', title: 'CAP_NET_ADMIN', ok: admin, found: admin ? 'yes' : 'no' },
    need('sk_msg', 'programs on messages', probeMessages()),
    { id: 'cgroup2', title: 'cgroup v2', ok: cgroup !== undefined, found: cgroup ?? 'not mounted' },
  ];
}

const need = (id: string, title: string, errno: number): PropagationNeed => ({
  ...{ id, title, ok: errno === 0 },
  found: errno === 0 ? 'works' : errnoName(errno),
});

/** 0, or the errno with which the kernel refuses a map of sockets or a program on their messages. */
function probeMessages(): number {
  const map = tryCreateMap({
    ...{ name: 'probe_sockets', type: MAP_TYPE.SOCKHASH, keySize: 8, valueSize: 8 },
    ...{ maxEntries: 1, flags: 0 },
  });
  if (map < 0) return -map;
  closeSync(map);
  const program = tryLoadProgram({
    ...{
      name: 'probe_message',
      type: PROG_TYPE.SK_MSG,
      expectedAttachType: ATTACH_TYPE.NONE,
      attachBtfId: 0,
    },
    ...{ instructions: TRIVIAL_PROGRAM, license: 'GPL' },
  });
  if (program < 0) return -program;
  closeSync(program);
  return 0;
}
