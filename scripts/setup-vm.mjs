// Kernels of Debian, and what a virtual machine needs beside one to run our tests. Prints the folder of a kernel:
//   node scripts/setup-vm.mjs 6.12
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, isMain, run } from './setup-cache.mjs';

/** Series of the kernels, and the suite that has one: cloud kernels boot without modules. */
const KERNELS = {
  6.1: 'bookworm',
  6.12: 'bookworm-backports',
  '7.': 'trixie-backports',
};

const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** The folder that holds `vmlinuz` of the series; fetched once. */
export function setupKernel(series) {
  const suite = KERNELS[series];
  if (!suite) throw new Error(`No kernel ${series}: expected ${Object.keys(KERNELS).join(', ')}`);
  const folder = join(cacheDirectory, 'vm', `linux-${series}`);
  if (existsSync(join(folder, 'vmlinuz'))) return folder;
  const work = `${folder}.${process.pid}`;
  try {
    fetchKernel(suite, series, work);
    rmSync(folder, { recursive: true, force: true });
    renameSync(work, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}

/** With a package list of its own: the machine's sources stay as they are. */
function fetchKernel(suite, series, work) {
  const env = { ...process.env, APT_CONFIG: aptConfiguration(suite, join(work, 'apt')) };
  const stdio = ['ignore', 2, 2];
  run('apt-get', ['update', '-qq'], { env, stdio });
  const meta = 'linux-image-cloud-amd64';
  const versions = output('apt-cache', ['madison', meta], env).split('\n');
  const version = versions
    .map((line) => line.split('|')[1]?.trim() ?? '')
    .find((one) => one.startsWith(series));
  if (!version) throw new Error(`Cannot find ${meta} ${series} in ${suite}`);
  const image = dependency(`${meta}=${version}`, /^linux-image-\d/, env);
  if (!image) throw new Error(`Cannot find the kernel that ${meta} ${version} stands for`);
  const name = dependency(image, /^linux-binary-\d/, env) ?? image;
  run('apt-get', ['download', '-qq', name], { env, stdio, cwd: work });
  const [archive] = readdirSync(work).filter((file) => file.endsWith('.deb'));
  if (!archive) throw new Error(`apt-get download ${name} left no package`);
  run('dpkg-deb', ['-x', archive, 'files'], { cwd: work });
  const kernel = readdirSync(join(work, 'files'), { recursive: true }).find((path) =>
    /(?:^|\/)vmlinuz[^/]*$/.test(path),
  );
  if (!kernel) throw new Error(`${name} holds no kernel`);
  renameSync(join(work, 'files', kernel), join(work, 'vmlinuz'));
  writeFileSync(join(work, 'version'), `${name} ${version}\n`);
  for (const left of ['files', 'apt', archive]) rmSync(join(work, left), { recursive: true });
}

function dependency(name, pattern, env) {
  const depends = /^Depends: (.*)$/m.exec(output('apt-cache', ['show', name], env))?.[1] ?? '';
  return depends
    .split(/[,|]/)
    .map((one) => one.trim().split(' ')[0])
    .find((one) => pattern.test(one));
}

function aptConfiguration(suite, folder) {
  for (const one of ['state/lists/partial', 'cache/archives/partial'])
    mkdirSync(join(folder, one), { recursive: true });
  const list = join(folder, 'sources.list');
  writeFileSync(list, `deb [signed-by=${KEYS}] ${debianMirror()} ${suite} main\n`);
  const settings = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '-',
    'Dir::State': join(folder, 'state'),
    'Dir::State::status': '/dev/null',
    'Dir::Cache': join(folder, 'cache'),
    'APT::Sandbox::User': 'root',
    'APT::Architecture': 'amd64',
    'Acquire::Languages': 'none',
  };
  const file = join(folder, 'apt.conf');
  writeFileSync(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name} "${value}";\n`)
      .join(''),
  );
  return file;
}

/** Where this machine has its own packages from. */
function debianMirror() {
  const targets = output(
    'apt-get',
    ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'],
    process.env,
  );
  const mirror = targets.split('\n').find((uri) => /\/debian\/?$/.test(uri));
  if (!mirror) throw new Error('Cannot fetch a kernel: no source of apt is a mirror of Debian');
  return mirror;
}

function output(command, args, env) {
  const result = spawnSync(command, args, { encoding: 'utf8', env, maxBuffer: 1 << 26 });
  if (result.status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${result.stderr || result.error?.message}`);
  return result.stdout;
}

if (isMain(import.meta.url)) {
  const folder = setupKernel(process.argv[2] ?? '');
  console.error(readFileSync(join(folder, 'version'), 'utf8').trim());
  console.log(folder);
}
