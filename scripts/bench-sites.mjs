// npm run bench:sites [-- cell…] [-- --write] [-- --json FILE]: see docs/bench.md.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, root, run } from './setup-cache.mjs';
import { buildCell, CELLS, STACKS } from './setup-matrix.mjs';
import { compile, installNodePackages } from './setup-node.mjs';

/** Builds the named cells of both stacks. */
function build(names) {
  const cells = [];
  const missing = [];
  for (const cell of names)
    for (const stack of STACKS) {
      const built = buildCell(stack, cell);
      if (built.missing) missing.push({ stack, cell, reason: built.missing });
      else cells.push({ stack, cell, ...built });
    }
  return { cells, missing };
}

try {
  installNodePackages();
  compile();
  const words = process.argv.slice(2);
  const names = words.filter((word) => word in CELLS);
  const input = join(cacheDirectory, 'matrix-cells.json');
  writeFileSync(input, JSON.stringify(build(names.length > 0 ? names : Object.keys(CELLS))));
  const options = words.filter((word) => !(word in CELLS));
  run(process.execPath, [join(root, 'dist', 'bench', 'sites', 'main.js'), '--cells', input, ...options]);
} catch (error) {
  console.error(`bench:sites: ${error.message}`);
  process.exitCode = 1;
}
