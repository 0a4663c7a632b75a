// Obtains programs that nobody here wrote, from the registries, into the cache; prints their paths as JSON.
//   node scripts/setup-foreign.mjs NAME…
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, isMain, run } from './setup-cache.mjs';

/**
 * Where each comes from; `file` is its executable or shared object below the folder of its package. A `peer` is not looked
 * into: others talk with it.
 */
export const FOREIGN = {
  /** axum 0.8, stripped. */
  'leanspec-http': {
    from: npm,
    package: '@leanspec/http-linux-x64',
    version: '0.3.0',
    file: 'leanspec-http',
  },
  /** hyper 1 without a framework, stripped. */
  apimock: { from: npm, package: '@apimock-rs/bin-linux-x64-gnu', version: '6.2.0', file: 'apimock' },
  /** 95 MB. */
  deno: { from: npm, package: '@deno/linux-x64-glibc', version: '2.9.6', file: 'deno' },
  /** hyper 1 in an extension module of Python. */
  granian: { from: pypi, package: 'granian', version: '2.8.9', file: /^_granian\..*\.so$/ },
  /** Uses no network. */
  ripgrep: { from: apt, package: 'ripgrep', version: '', file: 'usr/bin/rg' },
  /** Not Rust: a proxy that knows nothing of traces. */
  nginx: { from: apt, package: 'nginx', version: '', file: 'usr/sbin/nginx', peer: true },
  /** hyper 1; these strip themselves. */
  'static-web-server': {
    from: cargo,
    package: 'static-web-server',
    version: '2.42.0',
    file: 'static-web-server',
  },
  dufs: { from: cargo, package: 'dufs', version: '0.47.0', file: 'dufs' },
  /** actix-web 4. */
  miniserve: { from: cargo, package: 'miniserve', version: '0.35.0', file: 'miniserve' },
};

const quiet = { stdio: ['ignore', 2, 2] };

/** The path of the program, obtained when it isn't there. */
export function foreignProgram(name) {
  const entry = FOREIGN[name];
  if (!entry) throw new Error(`No foreign program is called ${name}`);
  const folder = join(cacheDirectory, 'foreign', `${name}-${entry.version || 'any'}`);
  if (!existsSync(folder)) obtain(entry, folder);
  return join(folder, fileIn(folder, entry.file));
}

/** Into a folder of another name first: half of a package is none. */
function obtain(entry, folder) {
  const temporary = `${folder}.new`;
  rmSync(temporary, { recursive: true, force: true });
  mkdirSync(temporary, { recursive: true });
  entry.from(entry, temporary);
  renameSync(temporary, folder);
}

function fileIn(folder, file) {
  if (typeof file === 'string') return file;
  const found = readdirSync(folder, { recursive: true }).find((path) => file.test(path.split('/').at(-1)));
  if (!found) throw new Error(`${folder} has no file ${file}`);
  return found;
}

function npm({ package: name, version }, folder) {
  run('npm', ['pack', '--silent', '--pack-destination', folder, `${name}@${version}`], quiet);
  unpack(folder, '.tgz', (archive) =>
    run('tar', ['-xzf', archive, '-C', folder, '--strip-components=1'], quiet),
  );
}

function pypi({ package: name, version }, folder) {
  const options = ['--no-deps', '--only-binary=:all:', '--quiet', '--dest', folder];
  run('python3', ['-m', 'pip', 'download', ...options, `${name}==${version}`], quiet);
  unpack(folder, '.whl', (archive) => run('python3', ['-m', 'zipfile', '-e', archive, folder], quiet));
}

/** A machine that has installed nothing yet has no lists of packages. */
function apt({ package: name }, folder) {
  const download = () => run('apt-get', ['download', '-qq', name], { ...quiet, cwd: folder });
  try {
    download();
  } catch {
    run('apt-get', ['update', '-qq'], quiet);
    download();
  }
  unpack(folder, '.deb', (archive) => run('dpkg-deb', ['-x', archive, folder], quiet));
}

function unpack(folder, ending, extract) {
  const archive = readdirSync(folder).find((name) => name.endsWith(ending));
  if (!archive) throw new Error(`Nothing that ends in ${ending} was obtained in ${folder}`);
  extract(join(folder, archive));
  rmSync(join(folder, archive));
}

function cargo({ package: name, version }, folder) {
  const target = join(cacheDirectory, 'foreign', 'target');
  const env = { ...process.env, CARGO_TARGET_DIR: target, RUSTFLAGS: '', CARGO_ENCODED_RUSTFLAGS: undefined };
  run('cargo', ['install', '--locked', '--root', folder, `${name}@${version}`], { ...quiet, env });
  renameSync(join(folder, 'bin', name), join(folder, name));
  rmSync(target, { recursive: true });
}

if (isMain(import.meta.url)) {
  const names = process.argv.slice(2);
  console.log(JSON.stringify(Object.fromEntries(names.map((name) => [name, foreignProgram(name)]))));
}
