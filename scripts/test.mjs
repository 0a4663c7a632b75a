// Sets up everything on a fresh machine and runs every test. See docs/testing.md.
//   npm test                         everything
//   npm test -- unit                 only what needs no privilege
//   npm test -- e2e [text…]          only end-to-end tests, of files whose name holds one of the texts
import { spawn } from 'node:child_process';
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

/** End-to-end tests wait for processes a third of their time. */
const AT_ONCE = 2;

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
    run: () => runEndToEnd(testsIn('e2e').filter(isWanted)),
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
  run(process.execPath, testArguments(files, options));
}

const testArguments = (files, options) => [
  ...['--import', SEED, '--test', '--test-reporter=spec', ...options],
  ...files,
];

/** The spans of a test are a hundred megabytes of JSON: with room for young objects they are collected half as long. */
const END_TO_END = ['--max-semi-space-size=64', `--test-concurrency=${AT_ONCE}`];

/** A virtual machine needs no more than what others leave of one CPU: it runs beside them. */
async function runEndToEnd(files) {
  const inMachine = (path) => path.endsWith('vm.test.js');
  const others = files.filter((path) => !inMachine(path));
  const machines = files.filter(inMachine);
  if (others.length === 0 || machines.length === 0) return runTests(files, END_TO_END);
  const results = await Promise.allSettled([
    runBeside('nice', ['-n', '5', process.execPath, ...testArguments(machines, END_TO_END)], 'pipe'),
    runBeside(process.execPath, testArguments(others, END_TO_END), 'inherit'),
  ]);
  const failures = results.filter(({ status }) => status === 'rejected').map(({ reason }) => reason.message);
  if (failures.length > 0) throw new Error(failures.join('; '));
}

/** `pipe`: its output comes whole, at the end. */
function runBeside(command, args, output) {
  const child = spawn(command, args, { stdio: ['ignore', output, output], cwd: root });
  const kept = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => kept.push(data));
  const stop = () => child.kill();
  for (const signal of SIGNALS) process.on(signal, stop);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      for (const one of SIGNALS) process.off(one, stop);
      process.stdout.write(Buffer.concat(kept));
      if (status === 0) resolve();
      else reject(new Error(`${command} ${args.join(' ')}: ${signal ?? `exit code ${status}`}`));
    });
  });
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Later stages run also after a failure, so that one run shows all that is wrong; set-up must succeed. */
const REQUIRED = new Set(['node packages', 'system packages', 'compile', 'target programs', 'collector']);
const results = [];

for (const stage of STAGES) {
  if (stage.when === false) continue;
  const start = performance.now();
  console.log(`── ${stage.name}`);
  let failure;
  try {
    await stage.run();
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
