import { analyze } from '../analysis/analyze.ts';
import { UserError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Config } from '../config.ts';
import type { Link } from '../kernel/kernel.ts';
import { QUERIES } from '../libraries/index.ts';
import { MEMBER_QUERIES } from '../libraries/measured.ts';
import { ownExporter } from '../libraries/opentelemetry/opentelemetry.ts';
import { type Plan, PROGRAMS, type ProgramName, type RecognisedLibrary, type Tier } from '../plan/plan.ts';
import type { FileIdentity } from '../process/process.ts';
import type { Scope } from '../spans/span.ts';
import { cachedPlan } from './cached-plan.ts';
import { encodeLayout, encodeTarget, encodeU32, probeCookie, SIDES, type Side } from './kernel-values.ts';
import type { Tracing } from './tracing.ts';

/** A binary whose probes are attached. */
export interface Program {
  readonly plan: Plan;
  /** `struct target` for each process that runs it; another one while its TLS probes are parked. */
  readonly target: Uint8Array;
  /** Of its SERVER spans; of CLIENT spans of known callers; of CLIENT spans that only bytes tell of. */
  readonly scope: Scope;
  readonly callScope: Scope;
  readonly wireScope: Scope;
  readonly tls: Readonly<Record<Side, TlsState>>;
}

/** Of the probes that only TLS connections of that side need. */
type TlsState = 'none' | 'attached' | 'parked';

interface Attached extends Program {
  target: Uint8Array;
  readonly tls: Record<Side, TlsState>;
  readonly name: string;
  readonly layoutIndex: number;
  readonly links: readonly Link[];
  readonly tlsLinks: Record<Side, readonly Link[]>;
}

/** hyper's parsers and its server's encoder: in `auto`, for what the sockets can't show. */
const TLS_PROGRAMS: Readonly<Record<Side, readonly ProgramName[]>> = {
  server: ['hyper_server_parse', 'hyper_server_parse_at', 'hyper_server_encode', 'hyper_server_write_head'],
  client: ['hyper_client_parse', 'hyper_client_parse_at'],
};
const OTHER_PROGRAMS = PROGRAMS.filter((program) =>
  SIDES.every((side) => !TLS_PROGRAMS[side].includes(program)),
);

const MAX_BINARIES = 1024; // entries of the map `layouts`

export type ProgramsConfig = Pick<Config, 'tier' | 'traceInstrumented' | 'captureHeaders'>;

/** Binaries by identity of the file: each is analysed and probed once, whatever number of processes run it. */
export class Programs implements Disposable {
  readonly #tracing: Tracing;
  readonly #tier: Tier;
  readonly #traceInstrumented: boolean;
  readonly #log: Log;
  readonly #captured: readonly string[];
  readonly #byFile = new Map<string, Promise<Attached>>();
  readonly #ready = new Map<string, Attached>();
  #nextLayout = 0;

  constructor(tracing: Tracing, config: ProgramsConfig, log: Log) {
    this.#tracing = tracing;
    this.#tier = config.tier;
    this.#traceInstrumented = config.traceInstrumented;
    this.#log = log;
    this.#captured = Object.values(config.captureHeaders).flat();
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
    detach(allLinks(program));
  }

  /**
   * A trap costs 0.7 µs a hit, also where the program only finds that the sockets show all: a server (or client)
   * that can speak TLS and doesn't gets rid of it. Changes `program.target`.
   */
  parkTls(program: Program, side: Side): void {
    const attached = this.#attachedOf(program);
    if (attached?.tls[side] !== 'attached') return;
    detach(attached.tlsLinks[side]);
    attached.tlsLinks[side] = [];
    attached.tls[side] = 'parked';
    attached.target = this.#target(attached);
    this.#log.info(`${attached.name}: no TLS seen so far: the TLS probes of its ${side} side are parked`);
  }

  /**
   * True when `program.target` has changed. `path` opens the binary now: the process by which it was opened
   * first may be gone.
   */
  unparkTls(program: Program, side: Side, path: string): boolean {
    const attached = this.#attachedOf(program);
    if (attached?.tls[side] !== 'parked') return false;
    attached.tlsLinks[side] = this.#attachProbes(
      TLS_PROGRAMS[side],
      attached.plan,
      path,
      attached.layoutIndex,
    );
    attached.tls[side] = 'attached';
    attached.target = this.#target(attached);
    this.#log.info(
      `${attached.name}: TLS begins: the probes of its ${side} side are back; requests of this moment may be missing`,
    );
    return true;
  }

  #attachedOf(program: Program): Attached | undefined {
    return [...this.#ready.values()].find((attached) => attached === program);
  }

  #target({ plan, layoutIndex, tls }: Pick<Attached, 'plan' | 'layoutIndex' | 'tls'>): Uint8Array {
    return encodeTarget(plan, layoutIndex, {
      tier: this.#tier,
      socketTier: this.#tracing.socketTier,
      inject: this.#tracing.injectionObstacle === undefined,
      parked: { server: tls.server === 'parked', client: tls.client === 'parked' },
    });
  }

  [Symbol.dispose](): void {
    for (const program of this.#ready.values()) detach(allLinks(program));
    this.#ready.clear();
    this.#byFile.clear();
  }

  async #attach(path: string, name: string): Promise<Attached> {
    const started = performance.now();
    const analysis = await analyze(path, QUERIES, { members: MEMBER_QUERIES });
    if (!analysis.facts.isRust) throw new UserError(`Cannot trace ${name}: not a Rust program`);
    for (const problem of analysis.problems) this.#log.warn(`${name}: ${problem}`);
    const plan = await cachedPlan(analysis, this.#tier);
    const own = this.#traceInstrumented ? undefined : ownExporter(plan.libraries);
    if (own) throw new UserError(`Not tracing ${name}: ${instrumentsItself(own)}`);
    const { reason } = httpSource(plan);
    if (reason !== undefined) throw new UserError(`Cannot trace ${name}: ${reason}; it holds ${holds(plan)}`);
    const layoutIndex = this.#nextLayout++;
    if (layoutIndex >= MAX_BINARIES)
      throw new UserError(`Cannot trace ${name}: ${MAX_BINARIES} binaries already`);
    await this.#tracing.kernel.load([...new Set(plan.probes.map(({ program }) => program))]);
    this.#tracing.kernel.map('layouts').update(encodeU32(layoutIndex), encodeLayout(plan, this.#captured));
    const links = this.#attachProbes(OTHER_PROGRAMS, plan, path, layoutIndex);
    const tlsLinks = this.#attachTls(plan, path, layoutIndex, links);
    const elapsed = Math.round(performance.now() - started);
    this.#log.info(`${name}: ${describe(plan)} (${elapsed} ms)`);
    for (const { hook, reason } of plan.missing) this.#log.debug(`${name}: no ${hook}: ${reason}`);
    const parkable = (side: Side): TlsState =>
      this.#tier === 'auto' && this.#tracing.socketTier && tlsLinks[side].length > 0 ? 'attached' : 'none';
    const tls = { server: parkable('server'), client: parkable('client') };
    const target = this.#target({ plan, layoutIndex, tls });
    return { plan, target, ...scopesOf(plan), tls, name, layoutIndex, links, tlsLinks };
  }

  #attachTls(
    plan: Plan,
    path: string,
    layoutIndex: number,
    others: readonly Link[],
  ): Record<Side, readonly Link[]> {
    const links: Record<Side, readonly Link[]> = { server: [], client: [] };
    try {
      for (const side of SIDES) links[side] = this.#attachProbes(TLS_PROGRAMS[side], plan, path, layoutIndex);
      return links;
    } catch (error) {
      detach([...others, ...links.server]);
      throw error;
    }
  }

  /** All or nothing. */
  #attachProbes(programs: readonly ProgramName[], plan: Plan, path: string, layoutIndex: number): Link[] {
    const links: Link[] = [];
    try {
      for (const program of programs) {
        const sites = plan.probes.filter((probe) => probe.program === program);
        if (sites.length === 0) continue;
        const uprobes = sites.map((site) => ({
          offset: site.fileOffset,
          cookie: probeCookie(layoutIndex, site),
        }));
        links.push(this.#tracing.kernel.attachUprobes(program, path, uprobes));
      }
      return links;
    } catch (error) {
      detach(links);
      throw error;
    }
  }
}

function detach(links: readonly Link[]): void {
  for (const link of links) link[Symbol.dispose]();
}

const allLinks = ({ links, tlsLinks }: Attached) => [...links, ...SIDES.flatMap((side) => tlsLinks[side])];

const keyOf = ({ device, inode }: FileIdentity) => `${device}:${inode}`;

/** Why nothing of a program can be seen, when no source gives spans of HTTP servers or clients. */
function httpSource(plan: Plan): { readonly reason: string | undefined } {
  const sources = plan.sources.filter(({ datum }) =>
    /^(?:http2?\.(?:server|client)(?:\.|$)|rpc\.)/.test(datum),
  );
  if (sources.some(({ source }) => source !== 'none')) return { reason: undefined };
  return { reason: [...new Set(sources.map(({ reason }) => reason))].join('; ') };
}

function holds({ libraries }: Plan): string {
  const names = libraries.map(({ name, version }) => (version ? `${name} ${version}` : name));
  return names.length > 0 ? names.join(', ') : 'no library that is known beside std';
}

function instrumentsItself({ name, version }: RecognisedLibrary): string {
  const library = version ? `${name} ${version}` : name;
  return `it exports spans of its own (${library}), which its calls would have twice; --trace-instrumented traces it all the same`;
}

function describe(plan: Plan): string {
  const sources = plan.sources.map(({ datum, source }) => `${datum}: ${source}`).join(', ');
  return `${sources}; ${plan.probes.length} probes`;
}

/** Libraries that serve HTTP, and that call, the most telling first. */
const SERVERS = ['hyper', 'actix-http', 'ntex-http', 'tiny_http', 'async-h1', 'may_minihttp'];
const CALLERS = ['reqwest', 'hyper-util', 'hyper'];
const WRITERS = ['ureq'];

/** The instrumentation scope is the library that was instrumented, so that a user sees which it is. */
function scopesOf(plan: Plan): Pick<Program, 'scope' | 'callScope' | 'wireScope'> {
  const firstOf = (names: readonly string[]): Scope => {
    for (const name of names) {
      const library = plan.libraries.find((candidate) => candidate.name === name);
      if (library) return { name, version: library.version };
    }
    return { name: 'otel-rust-agent', version: undefined };
  };
  return { scope: firstOf(SERVERS), callScope: firstOf(CALLERS), wireScope: firstOf(WRITERS) };
}
