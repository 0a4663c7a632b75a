#!/usr/bin/env node
// Rewrites src/recover/spans/*.json: which lines of a crate's files belong to which function, by version. Needs cargo,
// which downloads the crates that spans/inputs.mjs names. Run by hand:
//   node scripts/generate-spans.mjs [crate]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, root } from './setup-cache.mjs';
import { CRATES } from './spans/inputs.mjs';
import { functionsOf } from './spans/rust-items.mjs';

const folder = join(cacheDirectory, 'spans');

/** The folder with the sources of a crate, downloaded by cargo; undefined of a yanked version. */
function sourcesOf(crate, version) {
  const project = join(folder, `${crate}-${version}`);
  mkdirSync(join(project, 'src'), { recursive: true });
  writeFileSync(join(project, 'src', 'lib.rs'), '');
  const dependency = `${crate} = { version = "=${version}", default-features = false }`;
  writeFileSync(
    join(project, 'Cargo.toml'),
    `[package]\nname = "sources"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n${dependency}\n[workspace]\n`,
  );
  const { status, stdout, stderr } = spawnSync('cargo', ['metadata', '--format-version', '1'], {
    cwd: project,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
  if (status !== 0 && stderr.includes('is yanked')) return undefined;
  if (status !== 0) throw new Error(`${crate} ${version}: ${stderr}`);
  const found = JSON.parse(stdout).packages.find((one) => one.name === crate && one.version === version);
  return join(found.manifest_path, '..');
}

const encode = (functions) => functions.map(({ name, first, last }) => `${name} ${first} ${last}`).join(';');

/** Versions with the same spans share a row; rows are in the order of their first version. */
function tableOf(crate, { versions, files }) {
  const table = Object.fromEntries(files.map((file) => [file, []]));
  for (const version of versions) {
    const sources = sourcesOf(crate, version);
    if (sources === undefined) continue;
    for (const file of files) {
      const path = join(sources, file);
      const functions = existsSync(path) ? encode(functionsOf(readFileSync(path, 'utf8'))) : '';
      const row = table[file].find((one) => one.functions === functions);
      if (row) row.versions.push(version);
      else table[file].push({ versions: [version], functions });
    }
  }
  return table;
}

const [only] = process.argv.slice(2);
for (const [crate, input] of Object.entries(CRATES)) {
  if (only !== undefined && only !== crate) continue;
  const target = join(root, 'src', 'recover', 'spans', `${crate}.json`);
  mkdirSync(join(target, '..'), { recursive: true });
  writeFileSync(target, `${JSON.stringify(tableOf(crate, input), undefined, 1)}\n`);
  console.log(target);
}
