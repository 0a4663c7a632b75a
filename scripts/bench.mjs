// npm run bench [-- --quick] [-- --write] [-- --json FILE]: see docs/bench.md. Needs root, as the agent does.
import { join } from 'node:path';
import { cacheDirectory, hashOfFiles, root, run } from './setup-cache.mjs';
import { buildFixtures } from './setup-fixtures.mjs';
import { compile, installNodePackages } from './setup-node.mjs';

const workspace = join(root, 'bench', 'targets');

/** Returns the cargo target folder, outside the tree. */
function buildTargets() {
  const target = join(cacheDirectory, `bench-${hashOfFiles([join(workspace, 'Cargo.lock')])}`);
  const env = { ...process.env, CARGO_TARGET_DIR: target, RUSTFLAGS: '', CARGO_ENCODED_RUSTFLAGS: undefined };
  const cargo = (...args) =>
    run('cargo', ['build', '--locked', ...args], { cwd: workspace, env, stdio: ['ignore', 2, 2] });
  // By itself: HTTP/2 in hyper and hyper-util would change what the others measure.
  cargo('--release', '--workspace', '--exclude', 'bench-grpc');
  cargo('--release', '-p', 'bench-grpc');
  cargo('--profile', 'release-debug', '-p', 'bench-server');
  return target;
}

try {
  installNodePackages();
  compile();
  const fixtures = buildFixtures('release', ['axum08', 'hyper1', 'hyper014', 'stdhttp']);
  const target = buildTargets();
  run(process.execPath, [
    join(root, 'dist', 'bench', 'main.js'),
    ...['--fixtures', fixtures],
    ...['--programs', join(target, 'release')],
    ...['--debug-server', join(target, 'release-debug', 'bench-server')],
    ...process.argv.slice(2),
  ]);
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
