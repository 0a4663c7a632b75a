// Sets up everything on a fresh machine and runs every test. See docs/testing.md.
//   npm test                         everything
//   npm test -- unit                 only what needs no privilege
//   npm test -- e2e [text…]          only end-to-end tests, of files whose name holds one of the texts
import { join } from 'node:path';
import { root, run } from './setup-cache.mjs';
import { buildCollector } from './setup-collector.mjs';
import { buildAllFixtures } from './setup-fixtures.mjs';
import { buildCells, CI_CELLS } from './setup-matrix.mjs';
import { compile, filesBelow, installNodePackages } from './setup-node.mjs';
import { installSystemPackages } from './setup-system.mjs';

const [which = 'all', ...names] = process.argv.slice(2);
const unit = which !== 'e2e';
const endToEnd = which !== 'unit';

const STAGES = [
  { name: 'node packages', run: installNodePackages },
  { name: 'system packages', run: () => installSystemPackages({ endToEnd, bpf: unit }) },
  { name: 'compile', run: compile },
  { name: 'lint', run: () => run('npx', ['biome', 'check', '.']), when: unit },
  {
    name: 'BPF objects',
    run: () => run(process.execPath, ['scripts/build-bpf.mjs', '--check']),
    when: unit,
  },
  { name: 'unit tests', run: () => runTests(testsIn('src', 'test', 'bench'), []), when: unit },
  { name: 'target programs', run: buildAllFixtures, when: endToEnd },
  { name: 'link-time optimised target programs', run: () => buildCells(CI_CELLS), when: endToEnd },
  { name: 'collector', run: buildCollector, when: endToEnd },
  {
    name: 'end-to-end tests',
    run: () => runTests(testsIn('e2e').filter(isWanted), ['--test-concurrency=1']),
    when: endToEnd,
  },
];

const testsIn = (...folders) =>
  folders.flatMap((folder) =>
    filesBelow(join(root, 'dist', folder)).filter((path) => path.endsWith('.test.js')),
  );

const isWanted = (path) => names.length === 0 || names.some((name) => path.includes(name));

/** Property tests make the same inputs in each run, see docs/testing.md. */
const SEED = join(root, 'dist', 'test', 'seed.js');

function runTests(files, options) {
  if (files.length === 0) throw new Error('no test file matches');
  run(process.execPath, ['--import', SEED, '--test', '--test-reporter=spec', ...options, ...files]);
}

/** Later stages run also after a failure, so that one run shows all that is wrong; set-up must succeed. */
const REQUIRED = new Set(['node packages', 'system packages', 'compile', 'target programs', 'collector']);
const results = [];

for (const stage of STAGES) {
  if (stage.when === false) continue;
  const start = performance.now();
  console.log(`── ${stage.name}`);
  let failure;
  try {
    stage.run();
  } catch (error) {
    failure = error.message;
    console.error(`── ${stage.name} failed: ${failure.slice(0, 500)}`);
  }
  results.push({ name: stage.name, seconds: (performance.now() - start) / 1000, failure });
  if (failure && REQUIRED.has(stage.name)) break;
}

console.log('── summary');
for (const { name, seconds, failure } of results) {
  console.log(`${seconds.toFixed(1).padStart(7)} s  ${failure ? 'FAILED' : 'ok    '}  ${name}`);
}
const total = results.reduce((sum, { seconds }) => sum + seconds, 0);
const failed = results.filter(({ failure }) => failure);
console.log(
  `${total.toFixed(1).padStart(7)} s  ${failed.length === 0 ? 'all passed' : `${failed.length} failed`}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
