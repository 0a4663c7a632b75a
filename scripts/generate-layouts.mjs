#!/usr/bin/env node
// Rewrites src/libraries/*/*layouts.json from the DWARF of small programs, one for each (version, rustc).
// Needs cargo, rustup (it installs the compilers named in layouts/inputs.mjs) and gdb with Python. Run by hand:
//   node scripts/generate-layouts.mjs [library [table]]
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LIBRARIES, NEW_RUSTC, OLD_RUSTC } from './layouts/inputs.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const cache = join(
  process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'),
  'otel-rust-agent-test',
  'layouts',
);

function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26, ...options });
  if (result.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.error ?? result.stderr}`);
  return result.stdout;
}

function tomlValue(value) {
  if (typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(tomlValue).join(', ')}]`;
  return `{ ${Object.entries(value)
    .map(([key, inner]) => `${key} = ${tomlValue(inner)}`)
    .join(', ')} }`;
}

function writeProgram(program, dependencies, version, rustc, folder) {
  mkdirSync(join(folder, 'src'), { recursive: true });
  copyFileSync(join(here, 'layouts', program), join(folder, 'src', 'main.rs'));
  const exact = Object.entries(dependencies(version)).map(([name, value], index) => {
    const pinned = index > 0 ? value : { ...value, version: `=${version}` };
    return `${name} = ${tomlValue(pinned)}`;
  });
  const manifest = [
    '[package]\nname = "layout-probe"\nversion = "0.0.0"\nedition = "2021"',
    `rust-version = "${rustc.split('.').slice(0, 2).join('.')}"`,
    `[profile.release]\ndebug = 2\n[dependencies]\n${exact.join('\n')}\n[workspace]\n`,
  ];
  writeFileSync(join(folder, 'Cargo.toml'), manifest.join('\n'));
}

function build(folder, rustc) {
  run('rustup', ['toolchain', 'install', rustc, '--profile', 'minimal', '--no-self-update']);
  const env = {
    ...process.env,
    CARGO_TARGET_DIR: join(cache, `target-${rustc}`),
    CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS: 'fallback',
  };
  // The newest cargo picks dependencies that the old compiler can build; the old cargo builds them.
  run('cargo', ['generate-lockfile', '--quiet'], { cwd: folder, env });
  const building = { cwd: folder, env: { ...env, RUSTUP_TOOLCHAIN: rustc } };
  run(process.env.CARGO ?? 'cargo', ['build', '--release', '--quiet', '-j2'], building);
  return join(env.CARGO_TARGET_DIR, 'release', 'layout-probe');
}

function readMembers(program, members) {
  const wanted = Object.entries(members).map(([key, question]) => ({ key, ...question }));
  const env = { ...process.env, WANTED: JSON.stringify(wanted) };
  const output = run('gdb', ['-batch', '-x', join(here, 'layouts', 'dump_types.py'), program], { env });
  const answers = JSON.parse(output.trim().split('\n').at(-1));
  for (const [key, { error }] of Object.entries(answers)) {
    if (error && !members[key].optional) throw new Error(`${key}: ${error}`);
    if (error) delete answers[key];
  }
  return answers;
}

/** Offsets, but of a question with `size` the size. */
const numbers = (answers, members) =>
  Object.fromEntries(
    Object.entries(answers).map(([key, { offset, size }]) => [key, members[key].size ? size : offset]),
  );

function tokioRow(program, { context, taskId, taskIdOption, ...storages }) {
  const variable = contextVariable(program);
  const storage = Object.values(storages).find(({ typeSize }) => typeSize === variable.size);
  if (!storage) throw new Error(`no type of ${variable.size} bytes for ${variable.name}`);
  // A niche (NonZeroU64) leaves no room for a discriminant; else the tag is the u64 that is not the id.
  const after = taskId.offset === taskIdOption.offset ? 8 : 0;
  return {
    storage: storageKind(storage.type, variable.name),
    storageOverhead: variable.size - context.size,
    contextOffset: storage.offset,
    contextSize: context.size,
    tagOffset: taskIdOption.size === 8 ? null : taskIdOption.offset + after,
    idOffset: taskId.offset,
  };
}

/** `lazy` storage holds an Option and is filled at first use; `eager` is initialised at compile time. */
const storageKind = (type, variable) => (type.includes('lazy') || variable === '__KEY' ? 'lazy' : 'eager');

/** The thread-local symbol, `VAL` or `__KEY`, and its size. */
function contextVariable(program) {
  const line = /^ *\d+: +[0-9a-f]+ +(\d+) TLS .*7CONTEXT.*?(?:\d+)(__RUST_STD_INTERNAL_VAL|VAL|__KEY)17h/m;
  const match = line.exec(run('readelf', ['-sW', program]));
  if (!match) throw new Error('no symbol tokio::runtime::context::CONTEXT');
  return { name: match[2], size: Number(match[1]) };
}

const rowOf = ({ library, members }, program, answers) =>
  library === 'tokio' ? tokioRow(program, answers) : numbers(answers, members);

function measure(input, features, version, rustc) {
  const folder = join(cache, `${input.library}-${version}-${features.replaceAll(' ', '-')}-${rustc}`);
  writeProgram(input.program, input.variants[features], version, rustc, folder);
  try {
    const program = build(folder, rustc);
    const answers = readMembers(program, input.members);
    return { version, rustc, features, ...rowOf(input, program, answers) };
  } catch (error) {
    console.error(
      `${input.library} ${version} (${features}) with rustc ${rustc}: ${error.message.slice(0, 2000)}`,
    );
    return undefined;
  }
}

function* jobs(inputs) {
  for (const input of inputs)
    for (const features of Object.keys(input.variants)) {
      for (const version of input.versions) yield [input, features, version, NEW_RUSTC];
      for (const version of input.old) yield [input, features, version, OLD_RUSTC];
      for (const [version, compilers] of Object.entries(input.compilers ?? {}))
        for (const rustc of compilers) yield [input, features, version, rustc];
    }
}

const compareRows = (a, b) =>
  a.version.localeCompare(b.version, 'en', { numeric: true }) ||
  a.rustc.localeCompare(b.rustc, 'en', { numeric: true }) ||
  a.features.localeCompare(b.features, 'en');

const tableOf = ({ library, table = 'layouts' }) => `${library}/${table}.json`;
const only = process.argv.slice(2).join('/');
for (const name of new Set(LIBRARIES.map(tableOf))) {
  if (!name.startsWith(only)) continue;
  const rows = [...jobs(LIBRARIES.filter((input) => tableOf(input) === name))].flatMap((job) => {
    const row = measure(...job);
    console.error(JSON.stringify(row));
    return row ?? [];
  });
  const file = join(here, '..', 'src', 'libraries', name);
  mkdirSync(dirname(file), { recursive: true });
  const table = { generatedBy: 'scripts/generate-layouts.mjs', rows: rows.sort(compareRows) };
  writeFileSync(file, `${JSON.stringify(table, undefined, 2)}\n`);
  console.error(`${name}: ${rows.length} rows`);
}
