// Compiles every BPF source and writes the object beside it.
//   node scripts/build-bpf.mjs           build
//   node scripts/build-bpf.mjs --check   rebuild elsewhere; fail when a committed object differs
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';

process.chdir(dirname(import.meta.dirname));
const TOOLCHAIN_FILE = 'bpf/toolchain.json';
const DIRECTORIES = ['bpf', 'bench', 'src/kernel/testdata'];
const FLAGS = [
  ...['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wall', '-Werror', '-Wno-unused-function'],
  ...['-D__TARGET_ARCH_x86', '-Ibpf', '-fdebug-compilation-dir=.', `-ffile-prefix-map=${process.cwd()}=.`],
];

const run = (command, ...parameters) => execFileSync(command, parameters, { encoding: 'utf8' });
const firstLine = (text) => text.trim().split('\n')[0] ?? '';

/** The object depends on these versions and on nothing else of the machine. */
function toolchain() {
  return {
    clang: firstLine(run('clang-16', '--version')),
    strip: /LLVM version \S+/.exec(run('llvm-strip-16', '--version'))?.[0] ?? 'unknown',
    libbpfHeaders: /#define LIBBPF_MAJOR_VERSION (\d+)[\s\S]*#define LIBBPF_MINOR_VERSION (\d+)/
      .exec(readFileSync('/usr/include/bpf/libbpf_version.h', 'utf8'))
      ?.slice(1)
      .join('.'),
    flags: FLAGS.filter((flag) => !flag.startsWith('-ffile-prefix-map')).join(' '),
  };
}

function compile(source, output) {
  execFileSync('clang-16', [...FLAGS, '-c', source, '-o', output], { stdio: 'inherit' });
  run('llvm-strip-16', '-g', output); // drops DWARF, keeps .BTF and .BTF.ext
}

const sources = DIRECTORIES.flatMap((directory) => sourcesIn(directory)).sort();

function sourcesIn(directory) {
  return run('find', directory, '-maxdepth', '1', '-name', '*.bpf.c').split('\n').filter(Boolean);
}

const objectOf = (source) => source.replace(/\.c$/, '.o');

function build() {
  for (const source of sources) {
    compile(source, objectOf(source));
    console.log(`${objectOf(source)}: ${readFileSync(objectOf(source)).length} bytes`);
  }
  writeFileSync(TOOLCHAIN_FILE, `${JSON.stringify(toolchain(), undefined, 2)}\n`);
}

function check() {
  const found = JSON.stringify(toolchain());
  const recorded = JSON.stringify(JSON.parse(readFileSync(TOOLCHAIN_FILE, 'utf8')));
  const differing = sources.filter(differs);
  for (const source of differing)
    console.error(`${objectOf(source)} differs from what ${source} compiles to`);
  if (differing.length > 0 && found !== recorded)
    console.error(`Built with ${found}, committed objects with ${recorded}`);
  if (differing.length > 0) process.exit(1);
  console.log(`${sources.length} BPF objects are what their sources compile to`);
}

function differs(source) {
  const directory = mkdtempSync(join(tmpdir(), 'build-bpf-'));
  try {
    const output = join(directory, basename(objectOf(source)));
    compile(source, output);
    return !readFileSync(output).equals(readFileSync(objectOf(source)));
  } finally {
    rmSync(directory, { recursive: true });
  }
}

if (process.argv.includes('--check')) check();
else build();
