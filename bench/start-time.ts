import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { analyze } from '../src/analysis/analyze.ts';
import { QUERIES } from '../src/libraries/index.ts';
import { MEMBER_QUERIES } from '../src/libraries/measured.ts';
import { Agent } from './agent.ts';
import { type Places, SERVER_CPU } from './places.ts';
import { Server } from './server.ts';

export interface StartTime {
  readonly name: string;
  readonly megabytes: number;
  /** From starting the agent to `ready`, ms: without and with the file's facts in the cache. */
  readonly cold: readonly number[];
  readonly warm: readonly number[];
  /** Resident memory of an agent that has nothing to do, 10⁶ bytes. */
  readonly restMb: readonly number[];
}

export interface AnalysisTime {
  readonly name: string;
  readonly megabytes: number;
  readonly cold: readonly number[];
  readonly warm: readonly number[];
}

/** As a user starts it: the kernel side's programs are loaded beside each other. */
const ALL_CPUS = `0-${cpus().length - 1}`;
const REST_MS = 2_000;
/** `ready` comes before the agent listens for signals. */
const LISTENING_MS = 100;

const megabytes = (path: string) => statSync(path).size / 1e6;

/** Agents started on running programs of several sizes. */
export async function startTimes(places: Places, rounds: number): Promise<StartTime[]> {
  const targets: readonly [string, string, readonly string[]][] = [
    ['stdhttp', join(places.fixtures, 'stdhttp'), []],
    ['hyper1', join(places.fixtures, 'hyper1'), []],
    ['axum08', join(places.fixtures, 'axum08'), []],
    ['bench-server', join(places.programs, 'bench-server'), ['bare', 'http://127.0.0.1:1']],
    ['bench-server with line tables', places.debugServer, ['bare', 'http://127.0.0.1:1']],
  ];
  const times: StartTime[] = [];
  for (const [name, path, args] of targets) {
    using server = await Server.start(path, args, { cpu: SERVER_CPU });
    times.push(await startTime(places, name, path, server, rounds));
  }
  return times;
}

async function startTime(
  places: Places,
  name: string,
  path: string,
  server: Server,
  rounds: number,
): Promise<StartTime> {
  const time = {
    name,
    megabytes: megabytes(path),
    cold: [] as number[],
    warm: [] as number[],
    restMb: [] as number[],
  };
  for (let round = 0; round < rounds; round++) {
    const cache = mkdtempSync(join(places.cache, 'start-'));
    const own = { ...places, cache, agentCpu: ALL_CPUS };
    time.cold.push((await start(own, server, 0)).milliseconds);
    const { milliseconds, restMb } = await start(own, server, round === 0 ? REST_MS : 0);
    time.warm.push(milliseconds);
    if (round === 0) time.restMb.push(restMb);
    rmSync(cache, { recursive: true });
  }
  return time;
}

async function start(places: Places, server: Server, restMs: number) {
  const begin = performance.now();
  using agent = await Agent.start(places, ['--pid', `${server.pid}`]);
  const milliseconds = performance.now() - begin;
  await sleep(Math.max(restMs, LISTENING_MS));
  const restMb = agent.memory.residentMb;
  await agent.stop();
  return { milliseconds, restMb };
}

/** Analysis alone, in this process: larger files than one would start. */
export async function analysisTimes(places: Places, rounds: number): Promise<AnalysisTime[]> {
  const files: readonly [string, string][] = [
    ['stdhttp', join(places.fixtures, 'stdhttp')],
    ['axum08', join(places.fixtures, 'axum08')],
    ['bench-server', join(places.programs, 'bench-server')],
    ['bench-server with line tables', places.debugServer],
    ['cargo', join(sysroot(), 'bin', 'cargo')],
  ];
  const times: AnalysisTime[] = [];
  for (const [name, path] of files) times.push(await analysisTime(places, name, path, rounds));
  return times;
}

async function analysisTime(
  places: Places,
  name: string,
  path: string,
  rounds: number,
): Promise<AnalysisTime> {
  const cold: number[] = [];
  const warm: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const cacheDirectory = mkdtempSync(join(places.cache, 'facts-'));
    for (const list of [cold, warm]) {
      const begin = performance.now();
      await analyze(path, QUERIES, { cacheDirectory, members: MEMBER_QUERIES });
      list.push(performance.now() - begin);
    }
    rmSync(cacheDirectory, { recursive: true });
  }
  return { name, megabytes: megabytes(path), cold, warm };
}

function sysroot(): string {
  const { stdout, status } = spawnSync('rustc', ['--print', 'sysroot'], { encoding: 'utf8' });
  if (status !== 0) throw new Error('Cannot find the toolchain: rustc --print sysroot failed');
  return stdout.trim();
}
