import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface Rule {
  readonly values: readonly string[];
  /** Folders of which only types may be imported. */
  readonly types?: readonly string[];
}

/** What each folder of src may import besides itself. ARCHITECTURE.md shows the same table. */
const RULES: Readonly<Record<string, Rule>> = {
  base: { values: [] },
  elf: { values: ['base'] },
  dwarf: { values: ['base', 'elf'] },
  x86: { values: ['base'] },
  rust: { values: ['base', 'elf'] },
  recover: { values: ['base', 'elf', 'rust', 'x86'] },
  analysis: { values: ['base', 'elf', 'rust', 'recover'] },
  libraries: { values: ['base', 'recover'], types: ['analysis', 'plan'] },
  plan: { values: ['base', 'analysis', 'libraries', 'x86'] },
  process: { values: ['base'], types: ['spans'] },
  kernel: { values: ['base', 'elf'] },
  events: { values: ['base'] },
  spans: { values: ['base', 'events'], types: ['process'] },
  export: { values: ['base'], types: ['spans'] },
};

/** Wiring: the files straight in src, and what only they and the commands use. */
const UNRESTRICTED = ['.', 'agent', 'cli', 'config'];

/** Packages that are heavy or native, and the only folders that may know them. */
const PACKAGES: readonly (readonly [pattern: RegExp, folders: readonly string[]])[] = [
  [/^node:/, ['*']],
  [/^koffi$/, ['kernel']],
  [/^iced-x86$/, ['x86']],
  [/^gecko-profiler-demangle$/, ['rust']],
  [/^@opentelemetry\/semantic-conventions(\/|$)/, ['spans', 'process', 'export']],
  [/^@(opentelemetry|grpc)\//, ['export']],
];

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
}

/**
 * Import and export declarations, `import()` and `require()`. Works on text: a string literal that contains
 * such a statement would be taken for one. `import { type A }` counts as a value: it still loads the module.
 */
function importsOf(text: string): Import[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found: Import[] = [];
  const declaration = /^\s*(?:import|export)\s+(type\s+)?(?:[\w*{][^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm;
  for (const [, type, specifier = ''] of code.matchAll(declaration)) {
    found.push({ specifier, typeOnly: type !== undefined });
  }
  for (const [, specifier = ''] of code.matchAll(/\b(?:import|require)\s*\(\s*['"`]([^'"`]+)['"`]/g)) {
    found.push({ specifier, typeOnly: false });
  }
  return found;
}

/** The folder right under src; `.` for files straight in it. */
function folderOf(pathInSrc: string): string {
  return pathInSrc.includes('/') ? (pathInSrc.split('/')[0] ?? '.') : '.';
}

function violations(file: string, text: string): string[] {
  const folder = folderOf(file);
  const found: string[] = [];
  for (const { specifier, typeOnly } of importsOf(text)) {
    const problem = specifier.startsWith('.')
      ? folderProblem(folder, folderOf(join(dirname(file), specifier)), typeOnly)
      : packageProblem(folder, specifier);
    if (problem) found.push(`src/${file} imports ${specifier}: ${problem}`);
  }
  return found;
}

function folderProblem(from: string, to: string, typeOnly: boolean): string | undefined {
  if (from === to || UNRESTRICTED.includes(from)) return undefined;
  const rule = RULES[from];
  if (!rule) return `${from} has no rule`;
  if (rule.values.includes(to)) return undefined;
  if (!rule.types?.includes(to)) return `${from} may not import ${to}`;
  return typeOnly ? undefined : `${from} may import only types of ${to}`;
}

function packageProblem(folder: string, specifier: string): string | undefined {
  const [, folders] = PACKAGES.find(([pattern]) => pattern.test(specifier)) ?? [];
  if (!folders) return 'a package without a rule';
  return folders.includes('*') || folders.includes(folder) ? undefined : `only ${folders.join(', ')} may`;
}

/** Tests and their helpers may import what they like. */
function sourceFiles(): string[] {
  const names = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.ts') && !/\.test\.ts$|(^|\/)test-support\//.test(name));
}

test('every import of src follows the rules', () => {
  const files = sourceFiles();
  assert(files.length > 20, `only ${files.length} files found`);
  const found = files.flatMap((file) => violations(file, readFileSync(join(ROOT, 'src', file), 'utf8')));
  assert.deepEqual(found, []);
});

test('imports are found in every form', () => {
  const text = `
import './a.ts';
import type { A } from './b.ts';
import { type B, c } from './c.ts';
import d, * as e from "./d.ts";
import {
  f,
} from './e.ts';
export * from './f.ts';
export type { G } from './g.ts';
export const h = await import('./h.ts');
const i = require('./i.ts'); // import './not-a.ts'
// import './not-b.ts';
/* import './not-c.ts';
import './not-d.ts'; */
export const text = 'from nowhere';
export function from(): string { return 'x'; }
`;
  const found = importsOf(text).map(({ specifier, typeOnly }) => specifier + (typeOnly ? ' type' : ''));
  const expected = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map((name) =>
    'bg'.includes(name) ? `./${name}.ts type` : `./${name}.ts`,
  );
  assert.deepEqual(found, expected);
});

test('a new edge fails', () => {
  const check = (file: string, statement: string) => violations(file, statement).length > 0;
  assert.equal(check('elf/file.ts', "import { x } from '../base/reader.ts';"), false);
  assert.equal(check('elf/file.ts', "import { x } from '../kernel/kernel.ts';"), true);
  assert.equal(check('elf/deep/file.ts', "import { x } from '../section.ts';"), false);
  assert.equal(check('elf/file.ts', "import { x } from '../agent.ts';"), true);
  assert.equal(check('process/file.ts', "import type { X } from '../spans/span.ts';"), false);
  assert.equal(check('process/file.ts', "import { x } from '../spans/span.ts';"), true);
  assert.equal(check('cli/file.ts', "import { x } from '../kernel/kernel.ts';"), false);
  assert.equal(check('cli/file.ts', "const koffi = await import('koffi');"), true);
  assert.equal(check('spans/file.ts', "import { x } from '@opentelemetry/sdk-trace';"), true);
  assert.equal(
    check('spans/file.ts', "import { x } from '@opentelemetry/semantic-conventions/incubating';"),
    false,
  );
  assert.equal(check('base/file.ts', "import x from 'left-pad';"), true);
  assert.equal(check('novel/file.ts', "import { x } from '../base/reader.ts';"), true);
});

/** Rows `folders | holds | may import` of the table. */
function architectureRows(): { folders: string[]; imports: string }[] {
  const lines = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8').split('\n');
  return lines.flatMap((line) => {
    const [, first = '', , imports = ''] = line.split('|');
    const folders = [...first.matchAll(/`src\/([a-z0-9]+)`/g)].map((match) => match[1] ?? '');
    return folders.length > 0 ? [{ folders, imports }] : [];
  });
}

test('ARCHITECTURE.md has a row for every folder of src', () => {
  const documented = architectureRows().flatMap((row) => row.folders);
  const folders = [...new Set(sourceFiles().map((file) => folderOf(relative('.', file))))].filter(
    (name) => name !== '.',
  );
  const wiring = ['agent', 'config']; // they stand there as src/agent.ts and src/config.ts
  assert.deepEqual(
    folders.filter((folder) => !documented.includes(folder) && !wiring.includes(folder)),
    [],
  );
});

test('ARCHITECTURE.md and the rules name the same imports', () => {
  for (const { folders, imports } of architectureRows()) {
    const named = [...imports.matchAll(/`([a-z0-9]+)`( \(types\))?/g)];
    for (const folder of folders) {
      const rule = RULES[folder];
      if (!rule) continue;
      for (const name of rule.values)
        assert(
          named.some((m) => m[1] === name && !m[2]),
          `${folder}: ${name}`,
        );
      for (const name of rule.types ?? [])
        assert(
          named.some((m) => m[1] === name && m[2]),
          `${folder}: ${name}`,
        );
    }
    if (folders.length > 1 || !RULES[folders[0] ?? '']) continue;
    const { values = [], types = [] } = RULES[folders[0] ?? ''] ?? {};
    for (const [, name = '', onlyTypes] of named) {
      assert((onlyTypes ? types : values).includes(name), `${folders[0]} may not import ${name}`);
    }
  }
});
