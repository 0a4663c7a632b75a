import { readdirSync, readFileSync } from 'node:fs';

/**
 * CPU time of all threads a process has now, µs. The first number of `schedstat` is ns on a CPU, user and kernel:
 * what uprobes and BPF programs take in a thread is in it. Threads that have ended are not.
 */
export function cpuMicroseconds(pid: number): number {
  const tasks = readdirSync(`/proc/${pid}/task`);
  const ns = tasks.map((tid) =>
    Number(readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')[0]),
  );
  return ns.reduce((sum, value) => sum + value, 0) / 1000;
}

export interface Memory {
  readonly residentMb: number;
  readonly peakMb: number;
}

/** VmRSS and VmHWM of /proc/<pid>/status, in 10⁶ bytes. */
export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) =>
    (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) * 1024) / 1e6;
  return { residentMb: field('VmRSS'), peakMb: field('VmHWM') };
}
