import { fixture } from './built.ts';
import { Child } from './child.ts';
import type { Program, Target } from './target.ts';

/** A line of the load generator: see fixtures/README.md. */
export interface LoadRecord {
  readonly id: string;
  readonly kind: string;
  readonly method: string;
  readonly target: string;
  readonly version: string;
  readonly host: string;
  readonly userAgent: string | null;
  readonly traceparent: string | null;
  readonly spans: 'one' | 'none' | 'any';
  /** Address and port of the client's end. */
  readonly client: string;
  readonly status: number | null;
  readonly route: string | null;
  readonly error: string | null;
  /** What a calling program says of its calls: a line for each. */
  readonly answer?: string;
  /** Unix time in nanoseconds: before the first byte, and when the response head was there. */
  readonly startNs: string;
  readonly endNs: string;
}

export interface LoadOptions {
  readonly count: number;
  readonly seed?: number;
  readonly concurrency?: number;
  readonly prefix?: string;
  readonly only?: readonly string[];
  readonly without?: readonly string[];
  /** Requests for these shapes of a calling program, instead of kinds. */
  readonly shapes?: readonly string[];
  readonly durationMs?: number;
}

/** What a program can't do; why is in fixtures/README.md. */
const WITHOUT: Readonly<Partial<Record<Program, readonly string[]>>> = {
  axum07: ['connect'],
  axum06: ['connect'],
  actix4: ['upgrade'],
  stdhttp: ['connect', 'upgrade'],
};

export function startLoad(target: Target, options: LoadOptions): Child {
  const without = [...(options.without ?? []), ...(WITHOUT[target.options.program] ?? [])];
  const host = target.host.includes(':') ? `[${target.host}]` : target.host;
  return new Child(fixture('load'), [
    ...['--target', `${host}:${target.port}`],
    ...(target.options.tls ? ['--tls'] : []),
    ...['--count', `${options.count}`, '--seed', `${options.seed ?? 1}`],
    ...['--concurrency', `${options.concurrency ?? 32}`, '--prefix', options.prefix ?? 'r'],
    ...['--only', (options.only ?? []).join(','), '--without', without.join(',')],
    ...['--shapes', (options.shapes ?? []).join(',')],
    ...(options.durationMs === undefined ? [] : ['--duration-ms', `${options.durationMs}`]),
  ]);
}

/** HTTP/2 on a few connections. */
export function startStreamLoad(target: Target, options: LoadOptions): Child {
  return new Child(fixture('loadh2'), [
    ...['--target', `${target.host}:${target.port}`],
    ...(target.options.tls ? ['--tls'] : []),
    ...['--count', `${options.count}`, '--seed', `${options.seed ?? 1}`],
    ...['--concurrency', `${options.concurrency ?? 128}`, '--prefix', options.prefix ?? 'r'],
    ...['--only', (options.only ?? []).join(','), '--without', (options.without ?? []).join(',')],
    ...(options.durationMs === undefined ? [] : ['--duration-ms', `${options.durationMs}`]),
  ]);
}

export async function finishLoad(load: Child): Promise<readonly LoadRecord[]> {
  const { code } = await load.ended;
  if (code !== 0) throw new Error(`The load generator ended with ${code}: ${load.stderr}`);
  return load.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LoadRecord);
}

export async function runLoad(target: Target, options: LoadOptions): Promise<readonly LoadRecord[]> {
  using load = startLoad(target, options);
  return await finishLoad(load);
}
