import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository: this file runs as dist/e2e/support/built.js. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));
export const agentProgram = join(root, 'bin', 'otel-rust-agent');
export const certificate = join(root, 'fixtures', 'common', 'tls', 'cert.pem');
export const certificateKey = join(root, 'fixtures', 'common', 'tls', 'key.pem');

const found = new Map<string, string>();

/** Runs a set-up script, which builds only what is missing, and takes the path it prints. */
function setUp(script: string, ...args: string[]): string {
  const key = [script, ...args].join(' ');
  const known = found.get(key);
  if (known) return known;
  const result = spawnSync(process.execPath, [join(root, 'scripts', script), ...args], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`${key} failed: ${result.stderr}`);
  const path = result.stdout.trim();
  found.set(key, path);
  return path;
}

export type FixtureProfile = 'release' | 'release-stripped';

/** The whole workspace is built in the release profile, only what is asked for in another. */
export function fixture(name: string, profile: FixtureProfile = 'release'): string {
  return join(setUp('setup-fixtures.mjs', profile, profile === 'release' ? workspaceOf(name) : name), name);
}

function workspaceOf(name: string): string {
  if (name === 'client128') return 'clients-tokio128';
  if (name === 'grpcgo') return 'grpc-go';
  if (/^(?:axum)?grpc|h2/.test(name)) return 'grpc';
  return name.startsWith('client') || name === 'downstream' ? 'clients' : '.';
}

export const collectorProgram = () => setUp('setup-collector.mjs');
