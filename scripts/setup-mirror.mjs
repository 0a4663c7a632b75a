// Keeps a copy of a folder whose files change only when their bytes do.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Makes `to` hold what `from` holds, without `skipped` names at its top. */
export function mirror(from, to, skipped = []) {
  mkdirSync(to, { recursive: true });
  const entries = readdirSync(from, { withFileTypes: true }).filter(({ name }) => !skipped.includes(name));
  const kept = new Set(entries.map(({ name }) => name));
  for (const name of readdirSync(to)) if (!kept.has(name)) rmSync(join(to, name), { recursive: true });
  for (const entry of entries) {
    const [source, copy] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) mirror(source, copy);
    else copyChanged(source, copy);
  }
}

function copyChanged(source, copy) {
  const bytes = readFileSync(source);
  if (!isSame(bytes, copy)) writeFileSync(copy, bytes);
}

function isSame(bytes, path) {
  try {
    return readFileSync(path).equals(bytes);
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
}
