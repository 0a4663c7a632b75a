import type { FileIdentity, Mapping, Process } from './process.ts';

/** How the kernel itself names a file: super block device as `major << 20 | minor`, inode number. */
export interface KernelFileKey {
  readonly device: number;
  readonly inode: number;
}

/**
 * The keys under which the kernel may know a process's executable. stat(2) and /proc/<pid>/maps agree on most
 * file systems; on btrfs (a device of its own for each subvolume) and overlayfs only one of them is the
 * kernel's, which one depends on its version, so both are given. A key too many matches nothing.
 */
export function kernelFileKeys(process: Process, mappings: readonly Mapping[]): KernelFileKey[] {
  const { executable } = process;
  const mapped = mappings.find((mapping) => mapping.path === executable.path);
  const keys = [toKernelKey(executable)];
  if (mapped) {
    const key = toKernelKey(mapped);
    if (key.device !== keys[0]?.device || key.inode !== keys[0]?.inode) keys.push(key);
  }
  return keys;
}

/** The key of a file by stat(2) alone. st_dev: minor bits 0–7 and 20–31, major bits 8–19. */
export function toKernelKey({ device, inode }: FileIdentity): KernelFileKey {
  const major = (device >>> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  return { device: major * 2 ** 20 + minor, inode };
}
