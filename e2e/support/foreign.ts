import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './built.ts';

const found = new Map<string, string>();

/** The path of a program that nobody here wrote, see scripts/setup-foreign.mjs. */
export function foreignProgram(name: string): string {
  const known = found.get(name);
  if (known) return known;
  const script = join(root, 'scripts', 'setup-foreign.mjs');
  const result = spawnSync(process.execPath, [script, name], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`setup-foreign.mjs ${name} failed: ${result.stderr}`);
  const path = (JSON.parse(result.stdout) as Record<string, string>)[name] ?? '';
  found.set(name, path);
  return path;
}
