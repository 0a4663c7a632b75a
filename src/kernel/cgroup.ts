import { readFileSync } from 'node:fs';

/** Where the whole cgroup v2 tree is mounted; undefined when it isn't. proc_pid_mountinfo(5). */
export function findCgroup2(mountInfo = readFileSync('/proc/self/mountinfo', 'latin1')): string | undefined {
  for (const line of mountInfo.split('\n')) {
    const [, , , root, folder, ...rest] = line.split(' ');
    const type = rest[rest.indexOf('-') + 1];
    if (type === 'cgroup2' && root === '/' && folder !== undefined) return unescaped(folder);
  }
  return undefined;
}

/** Blanks and backslashes are three octal digits there. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
