import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UserError } from '../base/errors.ts';

/** The file execvp would run for `name`, symbolic links resolved; UserError when there is none. */
export function findCommand(name: string, searchPath: string | undefined, cwd: string): string {
  if (name.includes('/')) {
    const file = resolve(cwd, name);
    if (isExecutable(file)) return realpathSync(file);
    throw new UserError(`Cannot start ${name}: ${whyNot(file)}`);
  }
  for (const folder of (searchPath || '/usr/local/bin:/usr/bin:/bin').split(':')) {
    const file = join(resolve(cwd, folder), name);
    if (isExecutable(file)) return realpathSync(file);
  }
  throw new UserError(`Cannot start ${name}: no such program in PATH`);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

function whyNot(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false });
  if (!stat) return 'no such file';
  return stat.isFile() ? 'not executable' : 'not a file';
}
