import type { Process, ProcessSource } from './process.ts';
import { isSameFile } from './process.ts';
import { type Selection, selectTargets } from './select.ts';

/** What came and went; a program that replaced itself by exec is in both lists. */
export interface TableChange {
  readonly started: readonly Process[];
  readonly ended: readonly Process[];
}

const NOTHING: TableChange = { started: [], ended: [] };

/** The traced processes. Kernel events keep it exact; `refresh` finds what an event was lost for. */
export class ProcessTable {
  readonly #source: ProcessSource;
  readonly #selection: Selection;
  readonly #targets = new Map<number, Process>();

  constructor(source: ProcessSource, selection: Selection) {
    this.#source = source;
    this.#selection = selection;
  }

  get targets(): ReadonlyMap<number, Process> {
    return this.#targets;
  }

  /** What there is to trace at this moment. */
  running(): readonly Process[] {
    return selectTargets(this.#selection, this.#source);
  }

  /** Compares with all processes that run now. Does not see a program that replaced itself by itself. */
  refresh(): TableChange {
    const now = new Map(this.running().map((process) => [process.pid, process]));
    const started: Process[] = [];
    const ended: Process[] = [];
    for (const [pid, process] of this.#targets) {
      const found = now.get(pid);
      if (found && isSameProgram(found, process)) continue;
      ended.push(process);
      this.#targets.delete(pid);
    }
    for (const process of now.values()) {
      if (this.#targets.has(process.pid)) continue;
      started.push(process);
      this.#targets.set(process.pid, process);
    }
    return { started, ended };
  }

  /** After an exec, or a fork: whatever ran under this pid before has ended. */
  onExec(pid: number): TableChange {
    const ended = this.#remove(pid);
    const reading = this.#source.read(pid);
    if (reading.kind !== 'process' || !this.#selection(reading.process)) return ended;
    this.#targets.set(pid, reading.process);
    return { started: [reading.process], ended: ended.ended };
  }

  /**
   * After the end of a whole process. The pid may already belong to a later process that the table knows,
   * so a target that still runs stays; one that is caught half-way through its exit goes at the next refresh.
   */
  onExit(pid: number): TableChange {
    const target = this.#targets.get(pid);
    if (!target) return NOTHING;
    const reading = this.#source.read(pid);
    if (reading.kind === 'process' && reading.process.startTicks === target.startTicks) return NOTHING;
    return this.#remove(pid);
  }

  #remove(pid: number): TableChange {
    const target = this.#targets.get(pid);
    if (!target) return NOTHING;
    this.#targets.delete(pid);
    return { started: [], ended: [target] };
  }
}

function isSameProgram(a: Process, b: Process): boolean {
  return a.startTicks === b.startTicks && isSameFile(a.executable, b.executable);
}
