import type { Mapping, Process, ProcessDetails, ProcessReading, ProcessSource } from './process.ts';

/** A process as a test writes it down. */
export interface RecordedProcess extends Process {
  readonly details?: Partial<ProcessDetails>;
  readonly mappings?: readonly Mapping[];
}

const NO_DETAILS: ProcessDetails = {
  commandLine: [],
  uid: undefined,
  cgroup: '',
  mountInfo: '',
  mountNamespace: undefined,
  environment: new Map(),
};

/** A ProcessSource over a map the caller changes to let processes start and end. */
export function recordedSource(
  processes: ReadonlyMap<number, RecordedProcess | Exclude<ProcessReading, { kind: 'process' }>>,
): ProcessSource {
  const running = (pid: number) => {
    const entry = processes.get(pid);
    return entry && !('kind' in entry) ? entry : undefined;
  };
  return {
    pids: () => [...processes.keys()],
    read: (pid) => {
      const entry = processes.get(pid) ?? { kind: 'gone' };
      if ('kind' in entry) return entry;
      const { startTicks, executable } = entry;
      return { kind: 'process', process: { pid, startTicks, executable } };
    },
    details: (pid) => {
      const entry = running(pid);
      return entry && { ...NO_DETAILS, ...entry.details };
    },
    mappings: (pid) => running(pid)?.mappings ?? [],
  };
}
