// Analyses one program in a process of its own, with an empty cache and again with what that left; prints JSON.
import { statSync } from 'node:fs';
import { knownPlan } from '../../src/agent/known-plan.ts';
import { planFile } from '../../src/agent/plan-file.ts';
import { UserError } from '../../src/base/errors.ts';
import type { SourceChoice } from '../../src/plan/plan.ts';

export interface OneResult {
  readonly fileMb: number;
  readonly firstMs: number;
  /** CPU time of the first: what it takes on a machine with nothing else to do. */
  readonly firstCpuMs: number;
  readonly secondMs: number;
  /** Resident memory of the whole process at its highest. */
  readonly peakMb: number;
  readonly sites: number;
  readonly sources: readonly SourceChoice[];
  /** Why there is no plan. */
  readonly refused: string | undefined;
}

type Planned = Pick<OneResult, 'sites' | 'sources' | 'refused'>;

async function plan(path: string, cacheDirectory: string): Promise<Planned> {
  try {
    const file = { path, tier: 'auto', cacheDirectory } as const;
    const { plan } = knownPlan(file) ?? (await planFile(file));
    if (!plan) return { sites: 0, sources: [], refused: 'not a Rust program' };
    const { probes, sources } = plan;
    return { sites: probes.length, sources, refused: undefined };
  } catch (error) {
    if (error instanceof UserError) return { sites: 0, sources: [], refused: error.message };
    throw error;
  }
}

interface Timed<T> {
  readonly value: T;
  readonly ms: number;
  readonly cpuMs: number;
}

async function timed<T>(work: () => Promise<T>): Promise<Timed<T>> {
  const [start, cpuStart] = [performance.now(), process.cpuUsage()];
  const value = await work();
  const { user, system } = process.cpuUsage(cpuStart);
  return { value, ms: performance.now() - start, cpuMs: (user + system) / 1000 };
}

const [path = '', cacheDirectory = ''] = process.argv.slice(2);
const first = await timed(() => plan(path, cacheDirectory));
const second = await timed(() => plan(path, cacheDirectory));
const result: OneResult = {
  fileMb: statSync(path).size / 1e6,
  firstMs: first.ms,
  firstCpuMs: first.cpuMs,
  secondMs: second.ms,
  peakMb: (process.resourceUsage().maxRSS * 1024) / 1e6,
  ...first.value,
};
process.stdout.write(JSON.stringify(result));
