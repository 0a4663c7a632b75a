import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LABELS } from '../../src/cli/plan-text.ts';
import { table } from '../markdown.ts';
import type { OneResult } from './one.ts';

export interface ForeignResult extends OneResult {
  readonly name: string;
}

/** `programs`: paths by name. Each in a process of its own, since memory and time are measured. */
export function measureForeign(programs: Readonly<Record<string, string>>): readonly ForeignResult[] {
  return Object.entries(programs).map(([name, path]) => ({ name, ...measureOne(path) }));
}

function measureOne(path: string): OneResult {
  const cache = mkdtempSync(join(tmpdir(), 'otel-rust-bench-'));
  try {
    const script = fileURLToPath(new URL('one.js', import.meta.url));
    const { status, stdout, stderr } = spawnSync(process.execPath, [script, path, cache], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`Cannot analyse ${path}: ${stderr}`);
    return JSON.parse(stdout) as OneResult;
  } finally {
    rmSync(cache, { recursive: true });
  }
}

export function foreignText(results: readonly ForeignResult[]): string {
  const rows = results.map(({ name, fileMb, firstMs, firstCpuMs, secondMs, peakMb, sites }) => [
    name,
    fileMb.toFixed(1),
    `${Math.round(firstMs)}`,
    `${Math.round(firstCpuMs)}`,
    secondMs.toFixed(1),
    `${Math.round(peakMb)}`,
    `${sites}`,
  ]);
  return table(['', 'MB', 'analysis, ms', 'CPU, ms', 'from the cache, ms', 'memory, MB', 'sites'], rows);
}

const NOTES = `## Programs from elsewhere

As their makers ship them in the registries (\`scripts/setup-foreign.mjs\`), all stripped. Time and memory are of a whole
plan in a fresh process on the machine of this run; memory is the process's, Node's own 50 MB included.
`;

/** Part of COMPATIBILITY.md. */
export function foreignSection(results: readonly ForeignResult[]): string {
  const given = results.map(({ name, sources, refused }) => {
    const yes = sources.filter(({ source }) => source !== 'none').map(({ datum }) => LABELS[datum]);
    return `- ${name}: ${refused ?? yes.join(', ')}`;
  });
  return [NOTES, foreignText(results), '', 'They give:\n', ...given, ''].join('\n');
}
