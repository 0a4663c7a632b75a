import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';
import { compileGlob, escapeGlob, isGlob } from './glob.ts';
import { identify } from './proc.ts';
import { isSameFile, type Process, type ProcessSource } from './process.ts';

/** What the user asked to trace. */
export interface Wanted {
  /** Paths or globs, relative ones to `cwd`. */
  readonly exePatterns: readonly string[];
  readonly pids: readonly number[];
}

/** Decides about any process, now and later; never picks the agent itself. */
export type Selection = (process: Process) => boolean;

type Match = (process: Process) => boolean;

/** Throws UserError when a pattern or pid can't lead to anything. */
export function createSelection(
  wanted: Wanted,
  source: ProcessSource,
  options: { readonly cwd: string; readonly ownPid: number },
): Selection {
  const matches: Match[] = [
    ...wanted.pids.map((pid) => matchPid(pid, source, options.ownPid)),
    ...wanted.exePatterns.map((pattern) => matchExe(pattern, source, options.cwd)),
  ];
  return (process) => process.pid !== options.ownPid && matches.some((match) => match(process));
}

/** The selected processes that run now, by ascending pid. */
export function selectTargets(selection: Selection, source: ProcessSource): Process[] {
  const targets: Process[] = [];
  for (const pid of source.pids()) {
    const reading = source.read(pid);
    if (reading.kind === 'process' && selection(reading.process)) targets.push(reading.process);
  }
  return targets.sort((a, b) => a.pid - b.pid);
}

/** A later process that got the same pid is another one. */
function matchPid(pid: number, source: ProcessSource, ownPid: number): Match {
  if (pid === ownPid) throw new UserError(`Cannot trace process ${pid}: it is the agent itself`);
  const reading = source.read(pid);
  switch (reading.kind) {
    case 'gone':
      throw new UserError(`No such process: ${pid}`);
    case 'kernel-thread':
      throw new UserError(`Cannot trace process ${pid}: it is a kernel thread`);
    case 'unreadable':
      throw new UserError(`Cannot read process ${pid}: ${reading.reason}`);
    case 'process': {
      if (!source.pids().includes(pid))
        throw new UserError(`Cannot trace process ${pid}: it is a thread, not a process`);
      const { startTicks } = reading.process;
      return (process) => process.pid === pid && process.startTicks === startTicks;
    }
  }
}

function matchExe(pattern: string, source: ProcessSource, cwd: string): Match {
  const path = resolve(cwd, pattern);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat && !stat.isFile()) throw new UserError(`Not a program: ${pattern} is not a regular file`);
  if (!stat && isGlob(pattern)) {
    const matchesPath = compileGlob(absoluteGlob(pattern, cwd));
    return (process) => matchesPath(process.executable.path);
  }
  const match = matchFile(path);
  // A path that exists only in some container is fine while a program there runs from it.
  if (!stat && selectTargets(match, source).length === 0) throw new UserError(`No such file: ${pattern}`);
  return match;
}

/** By path, so that a program rebuilt in place stays the same; by identity, for symbolic and hard links. */
function matchFile(path: string): Match {
  return ({ executable }) => {
    if (executable.path === path) return true;
    const file = identify(path);
    return file !== undefined && isSameFile(file, executable);
  };
}

function absoluteGlob(pattern: string, cwd: string): string {
  return pattern.startsWith('/') ? join(pattern) : join(escapeGlob(cwd), pattern);
}
