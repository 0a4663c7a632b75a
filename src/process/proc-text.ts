import type { Mapping } from './process.ts';

/** The fields used of /proc/<pid>/stat (proc_pid_stat(5)). */
export interface ProcStat {
  readonly comm: string;
  /** `R` `S` `D` … `Z` zombie, `X` dead. */
  readonly state: string;
  readonly startTicks: number;
  readonly kernelThread: boolean;
}

const PF_KTHREAD = 0x00200000;

/** comm may hold spaces, parentheses and newlines: the last `)` ends it. */
export function parseStat(text: string): ProcStat | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  const fields = text
    .slice(close + 1)
    .trim()
    .split(' '); // field 3 (state) and up
  const flags = Number(fields[9 - 3]);
  const startTicks = Number(fields[22 - 3]);
  if (open < 0 || close < open || !fields[0] || !Number.isSafeInteger(startTicks)) return undefined;
  return {
    comm: text.slice(open + 1, close),
    state: fields[0],
    startTicks,
    kernelThread: (flags & PF_KTHREAD) !== 0,
  };
}

/** NUL-separated words, as in /proc/<pid>/cmdline and environ. */
export function parseWords(text: string): string[] {
  const words = text.split('\0');
  if (words.at(-1) === '') words.pop();
  return words;
}

/** The first of two settings of one variable wins, as for getenv(3). */
export function parseEnvironment(text: string): Map<string, string> {
  const variables = new Map<string, string>();
  for (const word of parseWords(text)) {
    const equals = word.indexOf('=');
    const name = word.slice(0, equals);
    if (equals > 0 && !variables.has(name)) variables.set(name, word.slice(equals + 1));
  }
  return variables;
}

/** The second number of the `Uid:` line: real, effective, saved, file system. */
export function parseEffectiveUid(status: string): number | undefined {
  const match = /^Uid:\t\d+\t(\d+)/m.exec(status);
  return match ? Number(match[1]) : undefined;
}

const DELETED = ' (deleted)';
//               start    end      perms offset  major    minor    inode path
const MAP_LINE = /^([0-9a-f]+)-([0-9a-f]+) (\S+) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) +(\/.*)$/;

/**
 * File-backed lines of /proc/<pid>/maps. The device printed there is the file system's; stat(2) tells
 * another one on btrfs and overlayfs, so files of the two sources compare by identity only elsewhere.
 */
export function parseMappings(text: string, procFolder: string): Mapping[] {
  const mappings: Mapping[] = [];
  for (const line of text.split('\n')) {
    const [, start = '', end = '', permissions = '', offset = '', major = '', minor = '', inode, escaped] =
      MAP_LINE.exec(line) ?? [];
    if (escaped === undefined) continue;
    const full = escaped.replaceAll('\\012', '\n');
    const deleted = full.endsWith(DELETED);
    const path = deleted ? full.slice(0, -DELETED.length) : full;
    mappings.push({
      start: Number.parseInt(start, 16),
      end: Number.parseInt(end, 16),
      offset: Number.parseInt(offset, 16),
      executable: permissions.includes('x'),
      device: deviceNumber(Number.parseInt(major, 16), Number.parseInt(minor, 16)),
      inode: Number(inode),
      path,
      deleted,
      openPath: deleted ? `${procFolder}/map_files/${start}-${end}` : `${procFolder}/root${path}`,
    });
  }
  return mappings;
}

/** As st_dev of stat(2): minor bits 0–7, major bits 8–19, minor bits 20–31 (gnu_dev_makedev, major < 4096). */
function deviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

/** Splits the link text of /proc/<pid>/exe; a file may really be named "… (deleted)". */
export function withoutDeletedMark(link: string): string | undefined {
  return link.endsWith(DELETED) ? link.slice(0, -DELETED.length) : undefined;
}
