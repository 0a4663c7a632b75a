import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type FixtureProfile, fixture } from './built.ts';
import { Child } from './child.ts';
import { type Scratch, sharedScratch } from './scratch.ts';

export const PROGRAMS = ['axum08', 'axum07', 'axum06', 'hyper1', 'hyper014', 'actix4', 'stdhttp'] as const;
/** Programs that call others: see fixtures/README.md. */
export const CALLERS = [
  'client11',
  'client12',
  'client13',
  'client128',
  'clienthyper1',
  'clienthyper014',
  'clientblocking',
] as const;
/** Over HTTP/2. */
export const STREAMERS = [
  'grpc14',
  'grpc12',
  'grpc10',
  'axumgrpc14',
  'h2axum08',
  'h2axum06',
  'client12h2',
  'client11h2',
] as const;
export type Program = (typeof PROGRAMS | typeof CALLERS | typeof STREAMERS)[number];

export interface TargetOptions {
  readonly program: Program;
  readonly tls?: boolean;
  /** The last two: of the calling programs only. */
  readonly runtime?: 'multi' | 'current' | 'local' | 'two';
  readonly workers?: number;
  readonly host?: string;
  readonly port?: number;
  readonly profile?: FixtureProfile;
  readonly args?: readonly string[];
}

export interface Target extends Disposable {
  readonly child: Child;
  readonly options: TargetOptions;
  readonly executable: string;
  readonly host: string;
  readonly port: number;
}

/** A copy of the program in the test's own folder: `--exe` of the test then matches no other process. */
export function copyProgram(scratch: Scratch, program: Program, profile: FixtureProfile = 'release'): string {
  const executable = scratch.file(program);
  copyFileSync(fixture(program, profile), executable);
  return executable;
}

/**
 * … in a folder of all tests of this file, for one session at a time: later agents know it, as they do on a user's machine;
 * the first, for whom it has changed just now, analyses it.
 */
export function sharedCopy(program: Program, profile: FixtureProfile = 'release'): string {
  const executable = join(sharedScratch().file(profile), program);
  if (existsSync(executable)) return executable;
  mkdirSync(dirname(executable), { recursive: true });
  copyFileSync(fixture(program, profile), executable);
  return executable;
}

export function targetArguments(options: TargetOptions): string[] {
  return [
    ...(options.tls ? ['--tls'] : []),
    ...['--runtime', options.runtime ?? 'multi'],
    ...['--workers', `${options.workers ?? 2}`],
    ...['--host', options.host ?? '127.0.0.1'],
    ...['--port', `${options.port ?? 0}`],
    ...(options.args ?? []),
  ];
}

export async function startTarget(executable: string, options: TargetOptions): Promise<Target> {
  const child = new Child(executable, targetArguments(options));
  const [, port] = await child.waitFor('stdout', /^listening (\d+) pid \d+\n/);
  return {
    child,
    options,
    executable,
    host: options.host ?? '127.0.0.1',
    port: Number(port),
    [Symbol.dispose]: () => child[Symbol.dispose](),
  };
}
