import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository: this file runs as dist/e2e/support/built.js. */
export const root = fileURLToPath(new URL('../../..', import.meta.url));
export const agentProgram = join(root, 'bin', 'otel-rust-agent');
/** As a compiled test of ours. */
export const changedAgentProgram = join(root, 'dist', 'e2e', 'support', 'changed-agent.js');
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

/** Of programs of `fixtures/matrix` only: link-time optimised, as one unit that can't unwind; built for size. */
type MatrixCell = 'fat-lto' | 'opt-s';
export type FixtureProfile = 'release' | 'release-stripped' | MatrixCell | `${MatrixCell}-stripped`;

/** In a virtual machine: where the programs are that were built outside. */
const prepared = process.env.OTEL_RUST_E2E_PROGRAMS;

export function fixture(name: string, profile: FixtureProfile = 'release'): string {
  if (prepared) return join(prepared, name);
  if (profile === 'release' || profile === 'release-stripped')
    return join(setUp('setup-fixtures.mjs', profile, workspaceOf(name)), name);
  const cell = profile.replace(/-stripped$/, '');
  return matrixCell(stackOf(name), cell)[profile === cell ? 'symbols' : 'stripped'];
}

/** The twins of one build, see scripts/setup-matrix.mjs. */
export function matrixCell(
  stack: string,
  cell: string,
): { readonly symbols: string; readonly stripped: string } {
  const folder = join(setUp('setup-matrix.mjs', cell), `${stack}-${cell}`);
  return { symbols: join(folder, 'symbols'), stripped: join(folder, 'stripped') };
}

/** Programs that one executable of the matrix is, by the name its file gets. */
const STACKS: Readonly<Record<string, readonly string[]>> = {
  new: ['axum08', 'client12', 'client12h2', 'grpc14'],
  old: ['axum06', 'client11', 'client11h2', 'grpc10'],
};

function stackOf(name: string): string {
  const stack = Object.keys(STACKS).find((key) => STACKS[key]?.includes(name));
  if (!stack) throw new Error(`No program of fixtures/matrix runs as ${name}`);
  return stack;
}

function workspaceOf(name: string): string {
  if (name === 'client128') return 'clients-tokio128';
  if (name === 'grpcgo') return 'grpc-go';
  if (/^(?:axum)?grpc|h2/.test(name)) return 'grpc';
  return name.startsWith('client') || name === 'downstream' ? 'clients' : '.';
}

export const collectorProgram = () => (prepared ? join(prepared, 'collector') : setUp('setup-collector.mjs'));

/** One of Debian's kernels, see scripts/setup-vm.mjs. */
export const kernelImage = (series: string) => join(setUp('setup-vm.mjs', series), 'vmlinuz');
