import { readFileSync } from 'node:fs';
import { arch, hostname } from 'node:os';

export interface HostFacts {
  readonly name: string;
  /** /etc/machine-id: 32 hexadecimal digits. */
  readonly id: string | undefined;
  /** Value of host.arch: `amd64`. */
  readonly arch: string;
  /** Changes at each boot, so that pid and start time name a process for good. */
  readonly bootId: string | undefined;
}

export function readHost(): HostFacts {
  return {
    name: hostname(),
    id: readLine('/etc/machine-id') ?? readLine('/var/lib/dbus/machine-id'),
    arch: semanticArch(arch()),
    bootId: readLine('/proc/sys/kernel/random/boot_id'),
  };
}

/** Node's names → host.arch's. */
function semanticArch(name: string): string {
  return name === 'x64' ? 'amd64' : name;
}

function readLine(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
