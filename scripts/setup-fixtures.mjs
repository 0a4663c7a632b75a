// Builds the target programs of fixtures/ with cargo; prints the folder that holds the executables.
import { existsSync, mkdirSync, readdirSync, renameSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { cacheDirectory, hashOfFiles, isMain, root, run } from './setup-cache.mjs';
import { mirror } from './setup-mirror.mjs';

const fixtures = join(root, 'fixtures');
/** Cargo goes by the times and places of files: a new checkout of the same sources must not be built anew. */
const mirrored = join(cacheDirectory, 'fixtures');
/** No sources of programs. */
const UNUSED = ['binaries', 'dwarf', 'plans'];

/** The copy of a folder of fixtures that cargo builds in, brought up to date. */
export function mirrorOf(workspace) {
  mirror(fixtures, mirrored, UNUSED);
  return join(mirrored, relative(fixtures, workspace));
}

/** Below fixtures/, each with a lock of its own: servers, callers, callers on an old Tokio, gRPC and HTTP/2. */
const WORKSPACES = ['.', 'clients', 'clients-tokio128', 'grpc'].map((name) => join(fixtures, name));

const lockFile = (workspace) => join(workspace, 'Cargo.lock');

/** A module of Go: the peer of another implementation. */
const GO_MODULE = 'grpc-go';

/** One cargo target folder a lock file. */
export function fixtureTargetDirectory(workspace = fixtures) {
  return join(cacheDirectory, `target-${hashOfFiles([lockFile(workspace)])}`);
}

/** Builds all programs of all workspaces. */
export function buildAllFixtures() {
  for (const workspace of WORKSPACES) build(workspace, 'release', []);
  buildGo();
}

function buildGo() {
  const source = join(fixtures, GO_MODULE);
  const target = join(cacheDirectory, `go-${hashOfFiles([join(source, 'go.sum')])}`);
  mkdirSync(target, { recursive: true });
  const env = { ...process.env, CGO_ENABLED: '0' };
  run('go', ['build', '-o', join(target, 'grpcgo'), '.'], { cwd: source, env, stdio: ['ignore', 2, 2] });
  return target;
}

/**
 * Returns the folder of the executables. `profile`: `release` or `release-stripped`. `names`: programs of one
 * workspace, or the name of a workspace for all of it; none for all servers.
 */
export function buildFixtures(profile = 'release', names = []) {
  const [first = '.'] = names;
  if (first === GO_MODULE) return buildGo();
  const whole = WORKSPACES.find((workspace) => workspace === join(fixtures, first));
  const workspace = whole ?? workspaceOf(first);
  // Strips what the tests with symbols run, too: the whole workspace, whose features are its programs' together.
  if (profile === 'release-stripped') return strip(build(workspace, 'release', []));
  return whole ? build(whole, profile, []) : build(workspace, profile, names);
}

/** What cargo's `strip = true` leaves: the code is the same, all symbols are gone. Only what has changed is done again. */
function strip(folder) {
  const stripped = join(folder, '..', 'release-stripped');
  mkdirSync(stripped, { recursive: true });
  for (const { name } of readdirSync(folder, { withFileTypes: true }).filter(isProgram)) {
    const [from, to] = [join(folder, name), join(stripped, name)];
    if (existsSync(to) && statSync(to).mtimeMs >= statSync(from).mtimeMs) continue;
    run('strip', ['-o', `${to}.new`, from]);
    renameSync(`${to}.new`, to);
  }
  return stripped;
}

/** Beside the programs lie cargo's folders and its `.d` files. */
const isProgram = (entry) => entry.isFile() && !entry.name.includes('.');

function workspaceOf(name) {
  const found = WORKSPACES.find((workspace) => existsSync(join(workspace, name, 'Cargo.toml')));
  if (!found) throw new Error(`No workspace below ${fixtures} has a program ${name}`);
  return found;
}

function build(workspace, profile, packages) {
  const target = fixtureTargetDirectory(workspace);
  const selection = packages.length > 0 ? packages.flatMap((name) => ['-p', name]) : ['--workspace'];
  run('cargo', ['build', '--locked', '--profile', profile, ...selection], {
    cwd: mirrorOf(workspace),
    env: { ...process.env, CARGO_TARGET_DIR: target, RUSTFLAGS: '', CARGO_ENCODED_RUSTFLAGS: undefined },
    stdio: ['ignore', 2, 2],
  });
  return join(target, profile);
}

if (isMain(import.meta.url)) {
  const [profile, ...names] = process.argv.slice(2);
  console.log(buildFixtures(profile, names));
}
