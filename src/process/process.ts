/** A file as the kernel tells files apart: valid across mount namespaces and after an unlink. */
export interface FileIdentity {
  readonly device: number;
  readonly inode: number;
}

export interface Executable extends FileIdentity {
  /** As seen in the process's own mount namespace, without the kernel's " (deleted)". */
  readonly path: string;
  readonly name: string;
  /** The path no longer leads to the file that runs: it was removed or replaced. */
  readonly deleted: boolean;
  /** Opens the very file that runs, whatever became of its path: `/proc/<pid>/exe`. */
  readonly openPath: string;
}

/** A running program. A pid is reused, pid and start time together are not. */
export interface Process {
  readonly pid: number;
  /** Clock ticks (1/100 s) between boot and start. */
  readonly startTicks: number;
  readonly executable: Executable;
}

/** What is read only of processes that are traced. */
export interface ProcessDetails {
  readonly commandLine: readonly string[];
  /** Effective user id. */
  readonly uid: number | undefined;
  /** Text of /proc/<pid>/cgroup and /proc/<pid>/mountinfo, empty when unreadable. */
  readonly cgroup: string;
  readonly mountInfo: string;
  /** `mnt:[4026531841]`. */
  readonly mountNamespace: string | undefined;
  /** As the program was started with; later changes by the program itself are not seen. */
  readonly environment: ReadonlyMap<string, string>;
}

/** One file-backed mapping. Addresses and offset in bytes; up to 2^47, so numbers are exact. */
export interface Mapping extends FileIdentity {
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly executable: boolean;
  readonly path: string;
  readonly deleted: boolean;
  /** Opens the mapped file in whatever mount namespace it lies. */
  readonly openPath: string;
}

/** Looking at a process that may be ending at this moment: absence is a value. */
export type ProcessReading =
  | { readonly kind: 'process'; readonly process: Process }
  | { readonly kind: 'gone' }
  | { readonly kind: 'kernel-thread' }
  | { readonly kind: 'unreadable'; readonly reason: string };

export interface ProcessSource {
  /** Every pid, kernel threads included, in no order. */
  pids(): readonly number[];
  read(pid: number): ProcessReading;
  /** undefined when the process is gone. */
  details(pid: number): ProcessDetails | undefined;
  /** File-backed mappings in address order; empty when the process is gone. */
  mappings(pid: number): readonly Mapping[];
}

export function isSameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.inode === b.inode && a.device === b.device;
}
