import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { messageOf } from '../base/errors.ts';
import {
  parseEffectiveUid,
  parseEnvironment,
  parseMappings,
  parseStat,
  parseWords,
  withoutDeletedMark,
} from './proc-text.ts';
import {
  type Executable,
  type FileIdentity,
  isSameFile,
  type ProcessReading,
  type ProcessSource,
} from './process.ts';

/** The running system. A folder other than /proc serves tests. */
export function procSource(root = '/proc'): ProcessSource {
  return {
    pids: () => listPids(root),
    read: (pid) => readProcess(root, pid),
    details: (pid) => readDetails(`${root}/${pid}`),
    mappings: (pid) => {
      const folder = `${root}/${pid}`;
      return parseMappings(readText(`${folder}/maps`) ?? '', folder);
    },
  };
}

function listPids(root: string): number[] {
  const pids: number[] = [];
  for (const name of readdirSync(root)) {
    if (/^[1-9][0-9]*$/.test(name)) pids.push(Number(name));
  }
  return pids;
}

function readProcess(root: string, pid: number): ProcessReading {
  const folder = `${root}/${pid}`;
  const before = readStat(folder);
  if (!before || before.state === 'Z' || before.state === 'X') return { kind: 'gone' };
  if (before.kernelThread) return { kind: 'kernel-thread' };
  try {
    const executable = readExecutable(folder);
    // The pid may have changed hands between the two reads.
    if (readStat(folder)?.startTicks !== before.startTicks) return { kind: 'gone' };
    return { kind: 'process', process: { pid, startTicks: before.startTicks, executable } };
  } catch (error) {
    if (isAbsence(error)) return { kind: 'gone' };
    return { kind: 'unreadable', reason: messageOf(error) };
  }
}

function readStat(folder: string) {
  const text = readText(`${folder}/stat`);
  return text === undefined ? undefined : parseStat(text);
}

function readExecutable(folder: string): Executable {
  const openPath = `${folder}/exe`;
  const link = readlinkSync(openPath);
  const { dev: device, ino: inode } = statSync(openPath);
  const unmarked = withoutDeletedMark(link);
  const deleted = unmarked !== undefined && !leadsTo(`${folder}/root${link}`, { device, inode });
  const path = deleted ? unmarked : link;
  return { path, name: basename(path), device, inode, deleted, openPath };
}

/** The path is that of this very file at this moment. */
export function leadsTo(path: string, file: FileIdentity): boolean {
  const found = identify(path);
  return found !== undefined && isSameFile(found, file);
}

function readDetails(folder: string) {
  const commandLine = readText(`${folder}/cmdline`);
  if (commandLine === undefined) return undefined;
  return {
    commandLine: parseWords(commandLine),
    uid: parseEffectiveUid(readText(`${folder}/status`) ?? ''),
    cgroup: readText(`${folder}/cgroup`) ?? '',
    mountInfo: readText(`${folder}/mountinfo`) ?? '',
    mountNamespace: readLink(`${folder}/ns/mnt`),
    environment: parseEnvironment(readText(`${folder}/environ`) ?? ''),
  };
}

/** undefined when there is no such file, or none this user may look at. */
export function identify(path: string): FileIdentity | undefined {
  try {
    const { dev: device, ino: inode } = statSync(path);
    return { device, inode };
  } catch {
    return undefined;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** ESRCH: the process ended while its file was open. */
function isAbsence(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ESRCH';
}
