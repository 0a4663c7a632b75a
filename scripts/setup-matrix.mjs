// Builds the programs of fixtures/matrix in the ways release builds are made; prints the folder of the cells.
//   node scripts/setup-matrix.mjs [cell…]        fat-lto and opt-s without names; `all` for every one
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, renameSync, statSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, hashOfFiles, isMain, root, run } from './setup-cache.mjs';
import { mirrorOf } from './setup-fixtures.mjs';

const workspace = join(root, 'fixtures', 'matrix');

export const STACKS = ['new', 'old'];

/** fat LTO as programs that want to be small or fast have it; unwinding is gone with it. */
const WHOLE_PROGRAM = { LTO: 'fat', CODEGEN_UNITS: '1', PANIC: 'abort' };
const MUSL = 'x86_64-unknown-linux-musl';

/**
 * Settings of cargo's release profile by cell, from environment variables: all cells share the programs that run
 * while they are built.
 */
export const CELLS = {
  release: { profile: {} },
  'fat-lto': { profile: WHOLE_PROGRAM },
  'thin-lto': { profile: { LTO: 'thin' } },
  'opt-s': { profile: { OPT_LEVEL: 's' } },
  'opt-z': { profile: { OPT_LEVEL: 'z' } },
  'min-size': { profile: { ...WHOLE_PROGRAM, OPT_LEVEL: 'z' } },
  musl: { profile: {}, target: MUSL, why: whyNoMusl },
  'debian-rustc': { profile: {}, rustc: '/usr/bin/rustc', why: whyNoDebianRustc },
};

/** What the tests need beside the other workspaces, whose release builds they run stripped, too. */
export const CI_CELLS = ['fat-lto', 'opt-s'];

function whyNoMusl() {
  const installed = spawnSync('rustc', ['--print', 'target-libdir', '--target', MUSL], { encoding: 'utf8' });
  if (installed.status !== 0 || !existsSync(installed.stdout.trim()))
    return `rustup target add ${MUSL} is needed`;
  const compiler = spawnSync('musl-gcc', ['--version']);
  return compiler.error ? 'musl-gcc is needed: apt-get install musl-tools' : undefined;
}

function whyNoDebianRustc() {
  return existsSync('/usr/bin/rustc')
    ? undefined
    : "the distribution's rustc is needed: apt-get install rustc-web";
}

/**
 * Builds one cell of a stack. Returns both twins: with symbols and DWARF, and `strip`ped from the very same file;
 * or why it can't be built here.
 */
export function buildCell(stack, name) {
  const cell = CELLS[name];
  if (!cell || !STACKS.includes(stack)) throw new Error(`There is no cell ${stack} ${name}`);
  const missing = cell.why?.();
  if (missing) return { missing };
  const built = cargo(stack, cell);
  const folder = join(cellsDirectory(), `${stack}-${name}`);
  const symbols = join(folder, 'symbols');
  const stripped = join(folder, 'stripped');
  mkdirSync(folder, { recursive: true });
  if (!existsSync(stripped) || !sameFile(built, symbols)) keepTwins(built, symbols, stripped);
  return { symbols, stripped };
}

const cellsDirectory = () => join(cacheDirectory, 'matrix');

function cargo(stack, { profile, target, rustc }) {
  const folder = join(cacheDirectory, `target-${hashOfFiles([join(workspace, 'Cargo.lock')])}`);
  const settings = Object.entries(profile).map(([key, value]) => [`CARGO_PROFILE_RELEASE_${key}`, value]);
  const env = {
    ...process.env,
    ...Object.fromEntries(settings),
    ...(rustc && { RUSTC: rustc }),
    CARGO_TARGET_DIR: folder,
    RUSTFLAGS: '',
    CARGO_ENCODED_RUSTFLAGS: undefined,
  };
  const chosen = target ? ['--target', target] : [];
  run('cargo', ['build', '--locked', '--release', '-p', `matrix-${stack}`, ...chosen], {
    cwd: mirrorOf(workspace),
    env,
    stdio: ['ignore', 2, 2],
  });
  return join(folder, ...(target ? [target] : []), 'release', `matrix-${stack}`);
}

/** A copy keeps the time of the program it was made of. */
function sameFile(a, b) {
  if (!existsSync(b)) return false;
  const [x, y] = [statSync(a), statSync(b)];
  return x.size === y.size && Math.trunc(x.mtimeMs / 1000) === Math.trunc(y.mtimeMs / 1000);
}

/** Under other names first, so that whoever reads them sees whole files. */
function keepTwins(built, symbols, stripped) {
  const { atime, mtime } = statSync(built);
  copyFileSync(built, `${symbols}.new`);
  utimesSync(`${symbols}.new`, atime, mtime);
  run('strip', ['-o', `${stripped}.new`, built]);
  renameSync(`${stripped}.new`, stripped);
  renameSync(`${symbols}.new`, symbols);
}

export function buildCells(names) {
  for (const name of names) for (const stack of STACKS) buildCell(stack, name);
  return cellsDirectory();
}

if (isMain(import.meta.url)) {
  const names = process.argv.slice(2);
  console.log(buildCells(names.includes('all') ? Object.keys(CELLS) : names.length > 0 ? names : CI_CELLS));
}
