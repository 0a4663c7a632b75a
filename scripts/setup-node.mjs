// Node packages and compiled TypeScript.
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isMain, root, run } from './setup-cache.mjs';

/** Installs exactly what the lock file says, when node_modules is missing or older. */
export function installNodePackages() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  const lock = join(root, 'package-lock.json');
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lock).mtimeMs) return;
  run('npm', ['ci', '--no-audit', '--no-fund'], { stdio: ['ignore', 2, 2] });
}

export function compile() {
  removeStale();
  run(process.execPath, [join('node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.json']);
}

/** Compiled files whose source is gone would still be found as tests. */
function removeStale() {
  for (const path of filesBelow(join(root, 'dist'))) {
    const source = join(root, path.slice(join(root, 'dist').length)).replace(/\.js(\.map)?$/, '.ts');
    if (/\.js(\.map)?$/.test(path) && !existsSync(source)) rmSync(path);
  }
}

/** All files below a folder, sorted; none when it doesn't exist. */
export function filesBelow(directory) {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

if (isMain(import.meta.url)) {
  installNodePackages();
  compile();
}
