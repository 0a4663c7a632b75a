import { analyze } from '../analysis/analyze.ts';
import { UserError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Link } from '../kernel/kernel.ts';
import { QUERIES } from '../libraries/index.ts';
import { makePlan } from '../plan/make-plan.ts';
import { type Plan, PROGRAMS, type Tier } from '../plan/plan.ts';
import type { FileIdentity } from '../process/process.ts';
import type { Scope } from '../spans/span.ts';
import { encodeLayout, encodeTarget, encodeU32 } from './kernel-values.ts';
import type { Tracing } from './tracing.ts';

/** A binary whose probes are attached. */
export interface Program {
  readonly plan: Plan;
  /** `struct target` for each process that runs it. */
  readonly target: Uint8Array;
  readonly scope: Scope;
}

interface Attached extends Program {
  readonly links: readonly Link[];
}

const MAX_BINARIES = 1024; // entries of the map `layouts`

/** Binaries by identity of the file: each is analysed and probed once, whatever number of processes run it. */
export class Programs implements Disposable {
  readonly #tracing: Tracing;
  readonly #tier: Tier;
  readonly #log: Log;
  readonly #byFile = new Map<string, Promise<Attached>>();
  readonly #ready = new Map<string, Attached>();
  #nextLayout = 0;

  constructor(tracing: Tracing, tier: Tier, log: Log) {
    this.#tracing = tracing;
    this.#tier = tier;
    this.#log = log;
  }

  /** Already analysed and attached? Then without waiting. */
  ready(file: FileIdentity): Program | undefined {
    return this.#ready.get(keyOf(file));
  }

  /** Throws UserError for a file that can't be traced; a later call for the same file gives the same answer. */
  prepare(file: FileIdentity, path: string, name: string): Promise<Program> {
    const key = keyOf(file);
    let attached = this.#byFile.get(key);
    if (!attached) {
      attached = this.#attach(path, name).then((program) => {
        this.#ready.set(key, program);
        return program;
      });
      this.#byFile.set(key, attached);
    }
    return attached;
  }

  /** Detaches a binary that no process runs any more and no path leads to. */
  forget(file: FileIdentity): void {
    const key = keyOf(file);
    const program = this.#ready.get(key);
    this.#byFile.delete(key);
    if (!program) return;
    this.#ready.delete(key);
    for (const link of program.links) link[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const program of this.#ready.values()) for (const link of program.links) link[Symbol.dispose]();
    this.#ready.clear();
    this.#byFile.clear();
  }

  async #attach(path: string, name: string): Promise<Attached> {
    const started = performance.now();
    const { facts, readCode, problems } = await analyze(path, QUERIES);
    if (!facts.isRust) throw new UserError(`Cannot trace ${name}: not a Rust program`);
    for (const problem of problems) this.#log.warn(`${name}: ${problem}`);
    const plan = await makePlan({ facts, readCode }, this.#tier);
    const { reason } = serverSource(plan);
    if (reason !== undefined) throw new UserError(`Cannot trace ${name}: ${reason}; it holds ${holds(plan)}`);
    const layoutIndex = this.#nextLayout++;
    if (layoutIndex >= MAX_BINARIES)
      throw new UserError(`Cannot trace ${name}: ${MAX_BINARIES} binaries already`);
    const { kernel, socketTier } = this.#tracing;
    kernel.map('layouts').update(encodeU32(layoutIndex), encodeLayout(plan));
    const links = this.#attachProbes(plan, path, BigInt(layoutIndex));
    const elapsed = Math.round(performance.now() - started);
    this.#log.info(`${name}: ${describe(plan)} (${elapsed} ms)`);
    for (const { hook, reason } of plan.missing) this.#log.debug(`${name}: no ${hook}: ${reason}`);
    const target = encodeTarget(plan, this.#tier, layoutIndex, socketTier);
    return { plan, target, scope: scopeOf(plan), links };
  }

  /** All or nothing. */
  #attachProbes(plan: Plan, path: string, cookie: bigint): Link[] {
    const links: Link[] = [];
    try {
      for (const program of PROGRAMS) {
        const sites = plan.probes.filter((probe) => probe.program === program);
        if (sites.length === 0) continue;
        const uprobes = sites.map(({ fileOffset }) => ({ offset: fileOffset, cookie }));
        links.push(this.#tracing.kernel.attachUprobes(program, path, uprobes));
      }
      return links;
    } catch (error) {
      for (const link of links) link[Symbol.dispose]();
      throw error;
    }
  }
}

const keyOf = ({ device, inode }: FileIdentity) => `${device}:${inode}`;

/** Why nothing of a program can be seen, when no source gives HTTP server spans. */
function serverSource(plan: Plan): { readonly reason: string | undefined } {
  const servers = plan.sources.filter(({ datum }) => datum.startsWith('http.server.'));
  if (servers.some(({ source }) => source !== 'none')) return { reason: undefined };
  return { reason: [...new Set(servers.map(({ reason }) => reason))].join('; ') };
}

function holds({ libraries }: Plan): string {
  const names = libraries.map(({ name, version }) => (version ? `${name} ${version}` : name));
  return names.length > 0 ? names.join(', ') : 'no library that is known beside std';
}

function describe(plan: Plan): string {
  const sources = plan.sources.map(({ datum, source }) => `${datum}: ${source}`).join(', ');
  return `${sources}; ${plan.probes.length} probes`;
}

/** Libraries that serve HTTP, the most telling first. */
const SERVERS = ['hyper', 'actix-http', 'ntex-http', 'tiny_http', 'async-h1', 'may_minihttp'];

/** The instrumentation scope is the library that was instrumented, so that a user sees which it is. */
function scopeOf(plan: Plan): Scope {
  for (const name of SERVERS) {
    const library = plan.libraries.find((candidate) => candidate.name === name);
    if (library) return { name, version: library.version };
  }
  return { name: 'otel-rust-agent', version: undefined };
}
