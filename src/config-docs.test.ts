import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readConfig } from './config.ts';

/** From dist/src. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

function variablesRead(env: Readonly<Record<string, string>>): Set<string> {
  const names = new Set<string>();
  const get = (target: Readonly<Record<string, string>>, name: string | symbol) => {
    names.add(String(name));
    return target[String(name)];
  };
  readConfig(new Proxy(env, { get }));
  return names;
}

test('docs/configuration.md lists exactly the variables that are read', () => {
  const text = readFileSync(`${ROOT}docs/configuration.md`, 'utf8');
  const documented = new Set([...text.matchAll(/`(OTEL_[A-Z0-9_]*[A-Z0-9])`/g)].map(([, name]) => name));
  assert.deepEqual([...documented].sort(), [...variablesRead({})].sort());
});

test('docs/dependencies.md lists every dependency with the licence it has', () => {
  const text = readFileSync(`${ROOT}docs/dependencies.md`, 'utf8');
  const { dependencies, devDependencies } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  for (const name of Object.keys({ ...dependencies, ...devDependencies })) {
    const row = text.split('\n').find((line) => line.startsWith(`| \`${name}\` |`));
    const { license } = JSON.parse(readFileSync(`${ROOT}node_modules/${name}/package.json`, 'utf8'));
    assert.equal(row?.split('|')[2]?.trim(), license.replace(' OR ', ' or '), name);
  }
});
