// Builds the target programs of fixtures/ with cargo; prints the folder that holds the executables.
import { join } from 'node:path';
import { cacheDirectory, hashOfFiles, isMain, root, run } from './setup-cache.mjs';

const workspace = join(root, 'fixtures');

/** One cargo target folder a lock file. */
export function fixtureTargetDirectory() {
  return join(cacheDirectory, `target-${hashOfFiles([join(workspace, 'Cargo.lock')])}`);
}

/** Returns the folder of the executables. `profile`: `release` or `release-stripped`. */
export function buildFixtures(profile = 'release', packages = []) {
  const target = fixtureTargetDirectory();
  const selection = packages.length > 0 ? packages.flatMap((name) => ['-p', name]) : ['--workspace'];
  run('cargo', ['build', '--locked', '--profile', profile, ...selection], {
    cwd: workspace,
    env: { ...process.env, CARGO_TARGET_DIR: target, RUSTFLAGS: '', CARGO_ENCODED_RUSTFLAGS: undefined },
    stdio: ['ignore', 2, 2],
  });
  return join(target, profile);
}

if (isMain(import.meta.url)) {
  const [profile, ...packages] = process.argv.slice(2);
  console.log(buildFixtures(profile, packages));
}
