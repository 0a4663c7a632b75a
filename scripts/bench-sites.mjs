// npm run bench:sites [-- cell…] [-- --foreign] [-- --write] [-- --json FILE]: see docs/bench.md.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, root, run } from './setup-cache.mjs';
import { FOREIGN, foreignProgram } from './setup-foreign.mjs';
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

const foreign = () =>
  Object.fromEntries(
    Object.entries(FOREIGN).flatMap(([name, { peer }]) => (peer ? [] : [[name, foreignProgram(name)]])),
  );

try {
  installNodePackages();
  compile();
  const words = process.argv.slice(2);
  const names = words.filter((word) => word in CELLS);
  const input = join(cacheDirectory, 'matrix-cells.json');
  const cells = build(names.length > 0 ? names : Object.keys(CELLS));
  writeFileSync(input, JSON.stringify({ ...cells, foreign: words.includes('--foreign') ? foreign() : {} }));
  const options = words.filter((word) => !(word in CELLS) && word !== '--foreign');
  run(process.execPath, [join(root, 'dist', 'bench', 'sites', 'main.js'), '--cells', input, ...options]);
} catch (error) {
  console.error(`bench:sites: ${error.message}`);
  process.exitCode = 1;
}
