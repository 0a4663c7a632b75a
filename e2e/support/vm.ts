import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, copyFileSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { collectorProgram, fixture, kernelImage, root } from './built.ts';
import { Child } from './child.ts';
import type { Scratch } from './scratch.ts';

/** One of Debian's kernels with what runs on it. */
export interface VmOptions {
  /** See scripts/setup-vm.mjs. */
  readonly kernel: string;
  /** Added to the kernel's command line. */
  readonly parameters?: string;
  /** Target programs that are there. */
  readonly programs: readonly string[];
  /** Run by a shell in the folder of the repository. */
  readonly command: string;
  readonly timeoutMs: number;
}

export interface VmResult {
  /** Of the command; undefined when the machine did not get that far. */
  readonly code: number | undefined;
  /** All that came on the console. */
  readonly output: string;
}

/**
 * Without KVM: it works on every machine, also in another virtual one, and a boot takes seconds. In one thread and without
 * `cmpxchg16b`: with several threads qemu 7.2 leaves garbage in the flags behind that, and V8 has crashed where it replaces code
 * that runs.
 */
const MACHINE: readonly string[] = [
  ...['-accel', 'tcg,thread=single', '-cpu', 'max,-cx16', '-smp', '2', '-m', '2G', '-M', 'q35'],
  ...['-nodefaults', '-no-reboot', '-display', 'none', '-serial', 'stdio'],
];
const PARAMETERS = 'console=ttyS0 quiet panic=-1 mitigations=off';

export async function runInVm(scratch: Scratch, options: VmOptions): Promise<VmResult> {
  const { kernel, parameters = '', timeoutMs } = options;
  const archive = packRoot(scratch, options);
  const cmdline = `${PARAMETERS} ${parameters}`;
  using machine = new Child('qemu-system-x86_64', [
    ...MACHINE,
    ...['-kernel', kernelImage(kernel), '-initrd', archive, '-append', cmdline],
  ]);
  const timer = setTimeout(() => machine[Symbol.dispose](), timeoutMs);
  await machine.ended;
  clearTimeout(timer);
  const output = machine.stdout + machine.stderr;
  const code = /@@ exit (\d+)/.exec(output)?.[1];
  return { code: code === undefined ? undefined : Number(code), output };
}

/** From a file here to a path there. */
interface Link {
  readonly from: string;
  readonly to: string;
}

/** Of the repository: what an installed agent has, and the compiled tests. */
const OURS = ['bin', 'bpf/agent.bpf.o', 'dist', 'fixtures/common/tls', 'package.json'];
const PROGRAMS = 'app/programs';

/** The machine's first file system, in memory: links to the files, packed as what they lead to. */
function packRoot(scratch: Scratch, { programs, command }: VmOptions): string {
  const folder = scratch.file('root');
  for (const empty of ['proc', 'sys', 'dev', 'tmp']) mkdirSync(join(folder, empty), { recursive: true });
  for (const { from, to } of linksFor(programs)) {
    mkdirSync(dirname(join(folder, to)), { recursive: true });
    symlinkSync(from, join(folder, to));
  }
  copyFileSync(join(root, 'e2e', 'vm', 'init'), join(folder, 'init'));
  chmodSync(join(folder, 'init'), 0o755);
  const variables = `OTEL_RUST_E2E_PROGRAMS=/${PROGRAMS} OTEL_RUST_E2E_PATIENCE=20`;
  writeFileSync(join(folder, 'command'), `export ${variables}\n${command}\n`);
  return pack(folder, scratch.file('root.cpio'));
}

function linksFor(programs: readonly string[]): readonly Link[] {
  const executables = [
    { from: process.execPath, to: 'usr/bin/node' },
    ...['bin/busybox', 'bin/sh', 'usr/bin/env'].map((to) => ({ from: '/bin/busybox', to })),
    ...programs.map((name) => ({ from: fixture(name), to: `${PROGRAMS}/${name}` })),
    { from: collectorProgram(), to: `${PROGRAMS}/collector` },
  ];
  return [
    ...executables,
    ...librariesOf(executables.map(({ from }) => from)).map((from) => ({ from, to: from.slice(1) })),
    ...[...OURS, ...nodePackages()].map((path) => ({ from: join(root, path), to: join('app', path) })),
  ];
}

function pack(folder: string, archive: string): string {
  const names = execFileSync('find', ['-L', '.', '-print0'], { cwd: folder, maxBuffer: 1 << 26 });
  const file = openSync(archive, 'w');
  execFileSync('cpio', ['-o', '-H', 'newc', '-L', '-0', '--quiet'], {
    cwd: folder,
    input: names,
    stdio: ['pipe', file, 'inherit'],
  });
  closeSync(file);
  return archive;
}

/** As the dynamic linker would find them; of a static program none. */
function librariesOf(executables: readonly string[]): readonly string[] {
  const found = executables.flatMap((file) => {
    const dynamic = execFileSync('readelf', ['-lW', file], { encoding: 'utf8' }).includes('INTERP');
    return dynamic ? (execFileSync('ldd', [file], { encoding: 'utf8' }).match(/\/\S+/g) ?? []) : [];
  });
  return [...new Set(found)];
}

/** Those that an installed agent has. */
function nodePackages(): readonly string[] {
  const list = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], {
    cwd: root,
    encoding: 'utf8',
  });
  const paths = list.split('\n').map((path) => path.slice(root.length));
  return [...new Set(paths.filter((path) => /^node_modules\/(?:@[^/]+\/)?[^/]+$/.test(path)))];
}
