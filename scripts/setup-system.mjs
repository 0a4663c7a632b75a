// Installs what the tests need from the distribution, and only what is missing.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { has, isMain, run } from './setup-cache.mjs';

/** Debian package, and how to see that it isn't needed. `clang-16` is the toolchain of the committed objects. */
const PACKAGES = [
  { name: 'clang-16', present: () => has('clang-16') },
  { name: 'llvm-16', present: () => has('llvm-strip-16') },
  { name: 'libbpf-dev', present: () => existsSync('/usr/include/bpf/libbpf_version.h') },
  { name: 'gcc', present: () => has('cc') },
  { name: 'libc6-dev', present: () => existsSync('/usr/include/stdio.h') },
  { name: 'nghttp2-client', present: () => has('h2load') },
  { name: 'curl', present: () => has('curl') },
  { name: 'binutils', present: () => has('objcopy') },
  { name: 'qemu-system-x86', present: () => has('qemu-system-x86_64') },
  { name: 'busybox-static', present: () => has('busybox') },
  { name: 'cpio', present: () => has('cpio') },
];

/** Go 1.21 and later fetches the toolchain that a module asks for. */
const GO_MINOR = 21;

export function installSystemPackages({ endToEnd = true, bpf = true } = {}) {
  const wanted = PACKAGES.filter(
    ({ name }) =>
      (bpf || !/clang|llvm|libbpf/.test(name)) && (endToEnd || !/nghttp2|qemu|busybox|cpio/.test(name)),
  );
  const missing = wanted.filter((item) => !item.present()).map((item) => item.name);
  if (endToEnd && !has('go')) missing.push('golang-go');
  if (missing.length > 0) aptInstall(missing);
  if (!has('cargo')) throw new Error('Cannot find cargo: install a Rust toolchain, see https://rustup.rs');
  if (endToEnd) checkGo();
}

function aptInstall(names) {
  if (!has('apt-get')) {
    throw new Error(`Cannot install ${names.join(', ')}: there is no apt-get; install them by hand`);
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const stdio = ['ignore', 2, 2];
  run('apt-get', ['update', '-qq'], { env, stdio });
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...names], { env, stdio });
}

function checkGo() {
  const version = spawnSync('go', ['env', 'GOVERSION'], { encoding: 'utf8' }).stdout.trim();
  const minor = Number(/^go1\.(\d+)/.exec(version)?.[1] ?? 0);
  if (minor < GO_MINOR) {
    throw new Error(
      `Cannot build the Collector with ${version}: Go 1.${GO_MINOR} or later is needed, see https://go.dev/dl`,
    );
  }
}

if (isMain(import.meta.url)) installSystemPackages();
