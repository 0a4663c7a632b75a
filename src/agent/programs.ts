import { messageOf, UserError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Config } from '../config.ts';
import type { Link } from '../kernel/kernel.ts';
import { ownExporter } from '../libraries/opentelemetry/opentelemetry.ts';
import {
  type Plan,
  PROGRAMS,
  type ProbeSite,
  type ProgramName,
  type RecognisedLibrary,
  type Tier,
} from '../plan/plan.ts';
import { TASK_SLOT } from '../plan/without-site.ts';
import type { FileIdentity } from '../process/process.ts';
import type { Scope } from '../spans/span.ts';
import { HeldFile, ReplacedError, stateOf } from './held-file.ts';
import {
  encodeLayout,
  encodeTarget,
  encodeU32,
  PARKABLE,
  type Parkable,
  probeCookie,
} from './kernel-values.ts';
import { Planner } from './planner.ts';
import { SiteNumbers } from './site-numbers.ts';
import type { Tracing } from './tracing.ts';

/** A binary whose probes are attached. */
export interface Program {
  readonly plan: Plan;
  /** `struct target` for each process that runs it; another one while probes of it are parked. */
  readonly target: Uint8Array;
  /** Of its SERVER spans; of CLIENT spans of known callers; of CLIENT spans that only bytes tell of. */
  readonly scope: Scope;
  readonly callScope: Scope;
  readonly wireScope: Scope;
  readonly parking: Readonly<Record<Parkable, ParkingState>>;
  readonly name: string;
}

/** `kept`: there are none, or they stay. */
type ParkingState = 'kept' | 'attached' | 'parked';

interface Attached extends Program {
  plan: Plan;
  target: Uint8Array;
  readonly parking: Record<Parkable, ParkingState>;
  readonly places: Places;
  readonly file: HeldFile;
  links: readonly ProbeLink[];
  readonly parkableLinks: Record<Parkable, readonly ProbeLink[]>;
}

/** All sites of one BPF program in one binary. */
interface ProbeLink {
  readonly program: ProgramName;
  readonly link: Link;
}

/** Of a binary in the kernel's tables. */
interface Places {
  readonly layoutIndex: number;
  readonly slotSite: number;
  readonly numbers: ReadonlyMap<ProbeSite, number>;
}

/** Something that the kernel side checks. */
export interface CheckedSite {
  readonly program: Program;
  readonly site: ProbeSite | typeof TASK_SLOT;
}

/** Writes into the memory of programs. */
const INJECTOR = 'hyper_client_encoded' satisfies ProgramName;

/**
 * hyper's parsers and its server's encoder: in `auto`, for what the sockets can't show. reqwest's asynchronous client:
 * for calls that its blocking one hands over. What makes tasks: for calls and routes.
 */
const PARKABLE_PROGRAMS: Readonly<Record<Parkable, readonly ProgramName[]>> = {
  server: ['hyper_server_parse', 'hyper_server_parse_at', 'hyper_server_encode', 'hyper_server_write_head'],
  client: ['hyper_client_parse', 'hyper_client_parse_at', INJECTOR],
  blocking: ['reqwest_execute'],
  tasks: ['tokio_task_new', 'h2_take_request'],
};
const OTHER_PROGRAMS = PROGRAMS.filter((program) =>
  PARKABLE.every((what) => !PARKABLE_PROGRAMS[what].includes(program)),
);

const PARKED: Readonly<Record<Parkable, string>> = {
  server: 'no TLS seen so far: the TLS probes of its server side are parked',
  client: 'no TLS seen so far: the TLS probes of its client side are parked',
  blocking: 'no blocking call seen so far: the probes for those are parked',
  tasks: 'no call seen so far: the probes on new tasks are parked',
};
const NEEDED: Readonly<Record<Parkable, string>> = {
  server: 'TLS begins: the probes of its server side are back',
  client: 'TLS begins: the probes of its client side are back',
  blocking: 'blocking calls begin: the probes for those are back',
  tasks: 'calls begin: the probes on new tasks are back',
};

const MISSED_REQUESTS = 'requests of this moment may be missing';
const MISSED: Readonly<Record<Parkable, string>> = {
  server: MISSED_REQUESTS,
  client: MISSED_REQUESTS,
  blocking: MISSED_REQUESTS,
  tasks: 'what the tasks of this moment call has no parent',
};

const MAX_BINARIES = 1024; // entries of the map `layouts`

export type ChangePlan = (plan: Plan) => Plan;

export type ProgramsConfig = Pick<Config, 'tier' | 'traceInstrumented' | 'captureHeaders'>;

/** Binaries by identity of the file: each is analysed and probed once, whatever number of processes run it. */
export class Programs implements Disposable {
  readonly #tracing: Tracing;
  readonly #tier: Tier;
  readonly #planner: Planner;
  readonly #traceInstrumented: boolean;
  readonly #log: Log;
  readonly #captured: readonly string[];
  readonly #byFile = new Map<string, { readonly state: string; readonly attached: Promise<Attached> }>();
  readonly #ready = new Map<string, Attached>();
  readonly #numbers: SiteNumbers;
  readonly #changePlan: ChangePlan;
  readonly #freeLayouts: number[] = [];
  #nextLayout = 0;
  /** Told of a binary that was overwritten, when its probes are gone. */
  onOverwritten: (program: Program) => void = () => undefined;

  /** `changePlan`: what is attached in the place of what was planned. */
  constructor(tracing: Tracing, config: ProgramsConfig, log: Log, changePlan: ChangePlan = (plan) => plan) {
    this.#tracing = tracing;
    this.#numbers = new SiteNumbers(tracing.kernel.map('sites'));
    this.#changePlan = changePlan;
    this.#tier = config.tier;
    this.#planner = new Planner(config.tier);
    this.#traceInstrumented = config.traceInstrumented;
    this.#log = log;
    this.#captured = Object.values(config.captureHeaders).flat();
  }

  /** Files that are about to be prepared. */
  planAhead(paths: readonly string[]): void {
    this.#planner.planAhead(paths);
  }

  /** Already analysed and attached? Then without waiting. */
  ready(file: FileIdentity): Program | undefined {
    const program = this.#ready.get(keyOf(file));
    return program?.file.isChanged ? undefined : program;
  }

  /**
   * Throws UserError for a file that can't be traced; a later call for the same file gives the same answer while it is what
   * it was. ReplacedError for one that is not to be had at this moment. `path` opens it now.
   */
  async prepare(file: FileIdentity, path: string, name: string): Promise<Program> {
    const ready = this.ready(file);
    if (ready) return ready;
    const key = keyOf(file);
    const state = stateOf(path);
    const known = this.#byFile.get(key);
    if (known?.state === state) return await known.attached;
    this.forget(file); // what was there before it was overwritten
    const isStill = () => this.#byFile.get(key)?.attached === attached;
    const attached: Promise<Attached> = this.#attach(file, path, name).then(
      (program) => {
        if (isStill()) {
          this.#ready.set(key, program);
          return program;
        }
        this.#release(program);
        throw new ReplacedError(`Cannot trace ${name}: it was replaced while it was being analysed`);
      },
      (error) => {
        if (!isOfFile(error) && isStill()) this.#byFile.delete(key);
        throw error;
      },
    );
    this.#byFile.set(key, { state, attached });
    return await attached;
  }

  /** Detaches a binary that no process runs any more and no path leads to. */
  forget(file: FileIdentity): void {
    const key = keyOf(file);
    const program = this.#ready.get(key);
    this.#byFile.delete(key);
    this.#ready.delete(key);
    if (program) this.#release(program);
  }

  #release(program: Attached): void {
    detach(allLinks(program));
    this.#giveBack(program.places);
    program.file[Symbol.dispose]();
  }

  #giveBack({ layoutIndex, slotSite, numbers }: Places): void {
    for (const number of [slotSite, ...numbers.values()]) this.#numbers.give(number);
    this.#freeLayouts.push(layoutIndex);
  }

  /** What has this number in the kernel side's checks. */
  checked(number: number): CheckedSite | undefined {
    for (const program of this.#ready.values()) {
      if (program.places.slotSite === number) return program.plan.taskSlot && { program, site: TASK_SLOT };
      const site = allSites(program.plan).find((one) => program.places.numbers.get(one) === number);
      if (site) return { program, site };
    }
    return undefined;
  }

  /**
   * Goes over to a plan with fewer sites. `rewrite` gives the kernel side `program.target`,
   * before probes go: what they no longer see is not to be taken for what has not happened.
   */
  reduce(program: Program, plan: Plan, rewrite: () => void): void {
    const attached = this.#attachedOf(program);
    if (!attached) return;
    const before = attached.plan;
    attached.plan = plan;
    const left = allSites(plan);
    for (const what of PARKABLE)
      if (!left.some(({ program }) => PARKABLE_PROGRAMS[what].includes(program)))
        attached.parking[what] = 'kept';
    attached.target = this.#target(attached);
    rewrite();
    const keep = (links: readonly ProbeLink[]) => this.#keepLinks(attached, before, links);
    attached.links = keep(attached.links);
    for (const what of PARKABLE) attached.parkableLinks[what] = keep(attached.parkableLinks[what]);
  }

  /** Detaches programs that have lost sites, and attaches those again that have some left: before, so that no hit is missed. */
  #keepLinks(
    { plan, places, file }: Attached,
    before: Plan,
    links: readonly ProbeLink[],
  ): readonly ProbeLink[] {
    const count = (of: Plan, name: ProgramName) => sitesOf(of, name).length;
    return links.flatMap((one) => {
      if (count(plan, one.program) === count(before, one.program)) return [one];
      const again = this.#attachProbes([one.program], plan, file.path, places);
      detach([one]);
      return again;
    });
  }

  /**
   * A trap costs 0.7 µs a hit and more where caches are cold, also where the program finds nothing to do: a server (or
   * client) that can speak TLS and doesn't gets rid of it, and so does who can make blocking calls, and who makes tasks
   * that call nobody. `rewrite` as in `reduce`.
   */
  park(program: Program, what: Parkable, rewrite: () => void): void {
    const attached = this.#attachedOf(program);
    if (attached?.parking[what] !== 'attached') return;
    attached.parking[what] = 'parked';
    attached.target = this.#target(attached);
    rewrite();
    detach(attached.parkableLinks[what]);
    attached.parkableLinks[what] = [];
    this.#log.info(`${attached.name}: ${PARKED[what]}`);
  }

  /** True when `program.target` has changed. */
  unpark(program: Program, what: Parkable): boolean {
    const attached = this.#attachedOf(program);
    if (attached?.parking[what] !== 'parked') return false;
    const { plan, places, file } = attached;
    attached.parkableLinks[what] = this.#attachProbes(PARKABLE_PROGRAMS[what], plan, file.path, places);
    attached.parking[what] = 'attached';
    attached.target = this.#target(attached);
    this.#log.info(`${attached.name}: ${NEEDED[what]}; ${MISSED[what]}`);
    return true;
  }

  /** They are not parked from now on. */
  keep(program: Program, what: Parkable): void {
    const attached = this.#attachedOf(program);
    if (attached?.parking[what] === 'attached') attached.parking[what] = 'kept';
  }

  #attachedOf(program: Program): Attached | undefined {
    return [...this.#ready.values()].find((attached) => attached === program);
  }

  #target({ plan, places, parking }: Pick<Attached, 'plan' | 'places' | 'parking'>): Uint8Array {
    return encodeTarget(plan, places, {
      tier: this.#tier,
      socketTier: this.#tracing.socketTier,
      inject: this.#tracing.injectionObstacle === undefined,
      injectTls: this.#tracing.tlsInjectionObstacle === undefined,
      parked: eachParkable((what) => parking[what] === 'parked'),
    });
  }

  [Symbol.dispose](): void {
    for (const program of this.#ready.values()) {
      detach(allLinks(program));
      program.file[Symbol.dispose]();
    }
    this.#ready.clear();
    this.#byFile.clear();
    this.#planner[Symbol.dispose]();
  }

  async #attach(identity: FileIdentity, path: string, name: string): Promise<Attached> {
    const started = performance.now();
    const file = new HeldFile(path, identity);
    try {
      const attached = this.#attachTo(file, await this.#planFor(file, path, name), name);
      const elapsed = Math.round(performance.now() - started);
      this.#log.info(`${name}: ${describe(attached.plan)} (${elapsed} ms)`);
      file.onWrite = () => {
        this.forget(identity);
        this.onOverwritten(attached);
      };
      return attached;
    } catch (error) {
      file[Symbol.dispose]();
      throw error;
    }
  }

  /** What to attach, when all else is there. */
  async #planFor(file: HeldFile, path: string, name: string): Promise<Plan> {
    // Of a process, which may end, or execute another file. Otherwise the path tells where its debug file may be.
    const lasting = path.startsWith('/proc/') ? file.path : path;
    const planned = await this.#planner.plan(lasting);
    if (!planned.plan) throw new UserError(`Cannot trace ${name}: not a Rust program`);
    for (const problem of planned.problems) this.#log.warn(`${name}: ${problem}`);
    const plan = this.#changePlan(await this.#withInjection(planned.plan, name));
    const own = this.#traceInstrumented ? undefined : ownExporter(plan.libraries);
    if (own) throw new UserError(`Not tracing ${name}: ${instrumentsItself(own)}`);
    const { reason } = httpSource(plan);
    if (reason !== undefined) throw new UserError(`Cannot trace ${name}: ${reason}; it holds ${holds(plan)}`);
    await this.#tracing.kernel.load([...new Set(plan.probes.map(({ program }) => program))]);
    if (file.isChanged || !file.isAt(lasting))
      throw new ReplacedError(`Cannot trace ${name}: it was replaced while it was being analysed`);
    return plan;
  }

  /** All or nothing; in one go, so that nobody writes to the file meanwhile. */
  #attachTo(file: HeldFile, plan: Plan, name: string): Attached {
    const layoutIndex = this.#takeLayout(name);
    const places = this.#placesOf(plan, layoutIndex);
    try {
      this.#tracing.kernel.map('layouts').update(encodeU32(layoutIndex), encodeLayout(plan, this.#captured));
      const links = this.#attachProbes(OTHER_PROGRAMS, plan, file.path, places);
      const parkableLinks = this.#attachParkable(plan, file.path, places, links);
      for (const { hook, reason } of plan.missing) this.#log.debug(`${name}: no ${hook}: ${reason}`);
      const isParked = this.#tier === 'auto' && this.#tracing.socketTier;
      const parking = eachParkable(
        (what): ParkingState => (isParked && parkableLinks[what].length > 0 ? 'attached' : 'kept'),
      );
      const target = this.#target({ plan, places, parking });
      return { plan, target, ...scopesOf(plan), parking, name, places, file, links, parkableLinks };
    } catch (error) {
      this.#giveBack(places);
      throw error;
    }
  }

  #takeLayout(name: string): number {
    const index = this.#freeLayouts.pop() ?? this.#nextLayout++;
    if (index < MAX_BINARIES) return index;
    this.#nextLayout = MAX_BINARIES;
    throw new Error(`Cannot trace ${name}: ${MAX_BINARIES} binaries already`);
  }

  #placesOf(plan: Plan, layoutIndex: number): Places {
    const spawns = plan.probes.some(({ program }) => program === 'tokio_task_new');
    const slotSite = plan.taskSlot ? this.#numbers.takeSlot(plan.taskSlot, spawns) : 0;
    const numbers = new Map(allSites(plan).map((site) => [site, this.#numbers.take()]));
    return { layoutIndex, slotSite, numbers };
  }

  /** Without sites for what is not to be written, or can't be: nothing else depends on it. */
  async #withInjection(plan: Plan, name: string): Promise<Plan> {
    const { sites, missing } = plan.injection;
    const without = { ...plan, injection: { sites: [] } };
    if (this.#tracing.tlsInjectionObstacle) return without;
    const line = `${name}: no trace context is written into its requests under TLS`;
    if (missing !== undefined) {
      this.#log.info(`${line}: ${missing}`);
      return without;
    }
    try {
      if (sites.length > 0) await this.#tracing.kernel.load([INJECTOR]);
      return plan;
    } catch (error) {
      this.#log.warn(`${line}: ${messageOf(error)}`);
      return without;
    }
  }

  #attachParkable(
    plan: Plan,
    path: string,
    places: Places,
    others: readonly ProbeLink[],
  ): Record<Parkable, readonly ProbeLink[]> {
    const links = eachParkable((): readonly ProbeLink[] => []);
    try {
      for (const what of PARKABLE)
        links[what] = this.#attachProbes(PARKABLE_PROGRAMS[what], plan, path, places);
      return links;
    } catch (error) {
      detach([...others, ...Object.values(links).flat()]);
      throw error;
    }
  }

  /** All or nothing. */
  #attachProbes(
    programs: readonly ProgramName[],
    plan: Plan,
    path: string,
    { layoutIndex, numbers }: Places,
  ): ProbeLink[] {
    const links: ProbeLink[] = [];
    try {
      for (const program of programs) {
        const sites = sitesOf(plan, program);
        if (sites.length === 0) continue;
        const uprobes = sites.map((site) => ({
          offset: site.fileOffset,
          cookie: probeCookie(layoutIndex, numbers.get(site) ?? 0, site),
        }));
        links.push({ program, link: this.#tracing.kernel.attachUprobes(program, path, uprobes) });
      }
      return links;
    } catch (error) {
      detach(links);
      throw error;
    }
  }
}

function detach(links: readonly ProbeLink[]): void {
  for (const { link } of links) link[Symbol.dispose]();
}

const allSites = ({ probes, injection }: Plan) => [...probes, ...injection.sites];

const sitesOf = (plan: Plan, name: ProgramName) => allSites(plan).filter(({ program }) => program === name);

const allLinks = ({ links, parkableLinks }: Attached) => [...links, ...Object.values(parkableLinks).flat()];

function eachParkable<T>(of: (what: Parkable) => T): Record<Parkable, T> {
  return Object.fromEntries(PARKABLE.map((what) => [what, of(what)])) as Record<Parkable, T>;
}

/** Another attempt would end the same way. */
const isOfFile = (error: unknown) => error instanceof UserError && !(error instanceof ReplacedError);

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

/** Libraries that serve HTTP beside hyper, and that call; the most telling first. */
const SERVERS = ['actix-http', 'ntex-http', 'tiny_http', 'async-h1', 'may_minihttp'];
const CALLERS = ['reqwest', 'hyper-util', 'hyper'];
const WRITERS = ['ureq'];
/** What serves through hyper. tonic may be there for its client. */
const ON_HYPER = ['axum', 'axum-server', 'poem', 'rocket', 'salvo', 'warp'];

/** The instrumentation scope is the library that was instrumented, so that a user sees which it is. */
function scopesOf(plan: Plan): Pick<Program, 'scope' | 'callScope' | 'wireScope'> {
  const firstOf = (names: readonly string[]): Scope => {
    const found = names.find((name) => plan.libraries.some((library) => library.name === name));
    if (found === undefined) return { name: 'otel-rust-agent', version: undefined };
    const versions = plan.libraries.filter(({ name }) => name === found).map(({ version }) => version);
    return { name: found, version: versions.length === 1 ? versions[0] : undefined };
  };
  const scope = firstOf(servesByHyper(plan) ? ['hyper'] : SERVERS);
  return { scope, callScope: firstOf(CALLERS), wireScope: firstOf(WRITERS) };
}

/** hyper may be there for its clients alone. */
function servesByHyper({ libraries, probes }: Plan): boolean {
  const holds = (names: readonly string[]) => libraries.some(({ name }) => names.includes(name));
  if (probes.some(({ hook }) => hook.startsWith('hyper.server.')) || holds(ON_HYPER)) return true;
  return holds(['hyper']) && !holds(SERVERS) && (holds(['tonic']) || !holds(['reqwest']));
}
