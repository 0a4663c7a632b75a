// npm run bench:sites: see docs/bench.md. Started by scripts/bench-sites.mjs, which builds what is needed.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type CellFiles, type CellResult, measureCell } from './cell.ts';
import { compatibilityText, type MissingCell } from './compatibility.ts';
import { foreignText, measureForeign } from './foreign.ts';
import { cellText, precision, recall, totalsOf } from './report.ts';

const { values } = parseArgs({
  options: {
    cells: { type: 'string' },
    write: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});

/** dist/bench/sites/ is three folders below. */
const DOCUMENT = join(fileURLToPath(new URL('../../..', import.meta.url)), 'COMPATIBILITY.md');

interface Input {
  readonly cells: readonly CellFiles[];
  /** Cells that can't be built on this machine, and why. */
  readonly missing: readonly MissingCell[];
  /** Paths of programs from elsewhere, by name. */
  readonly foreign: Readonly<Record<string, string>>;
}

const { cells, missing, foreign } = JSON.parse(readFileSync(values.cells ?? 0, 'utf8')) as Input;
const results: CellResult[] = [];
for (const files of cells) {
  const result = await measureCell(files);
  process.stdout.write(`${cellText(result)}\n`);
  results.push(result);
}
for (const { stack, cell, reason } of missing) console.log(`${stack} ${cell}: not built, ${reason}`);
const stripped = totalsOf(results.map(({ strippedTwin }) => strippedTwin));
const named = totalsOf(results.map((result) => result.named));
console.log(`with symbols: precision ${precision(named)}, recall ${recall(named)}, wrong ${named.wrong}`);
console.log(
  `stripped:     precision ${precision(stripped)}, recall ${recall(stripped)}, wrong ${stripped.wrong}`,
);
const others = measureForeign(foreign);
if (others.length > 0) console.log(`\n${foreignText(others)}`);
if (values.json)
  writeFileSync(values.json, JSON.stringify({ cells: results, foreign: others }, undefined, 2));
if (values.write) writeFileSync(DOCUMENT, compatibilityText(results, missing, others));
const layouts = results.flatMap(({ dwarfLayouts }) => dwarfLayouts.wrong);
process.exitCode = named.wrong + stripped.wrong + layouts.length > 0 ? 1 : 0;
