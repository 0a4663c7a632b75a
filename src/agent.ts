import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { Child, type StartCommand } from './agent/child.ts';
import type { Obstacle } from './agent/injection.ts';
import { collectStartUpGarbage } from './agent/memory.ts';
import { Processes } from './agent/processes.ts';
import { type ChangePlan, Programs } from './agent/programs.ts';
import { RingPump } from './agent/reader.ts';
import { type KernelCounts, Tracing } from './agent/tracing.ts';
import { attributeKey } from './base/attribute-key.ts';
import { UserError } from './base/errors.ts';
import { createLog, type Log } from './base/log.ts';
import { rpcStatusKeys } from './base/rpc-keys.ts';
import type { StatusMode } from './cli/options.ts';
import type { Loss, StatusSnapshot } from './cli/status.ts';
import { StatusLine } from './cli/status-line.ts';
import type { Config } from './config.ts';
import { createDecoder } from './events/events.ts';
import { createExport, type Export } from './export/export.ts';
import { exportLosses } from './export/stats.ts';
import { missingPrivilege } from './kernel/capabilities.ts';
import { probePidNamespace } from './kernel/features.ts';
import { unsupportedKernel } from './kernel/kernel-version.ts';
import { limitAllocator } from './kernel/libc.ts';
import { isGlob } from './process/glob.ts';
import { readHost } from './process/host.ts';
import { procSource } from './process/proc.ts';
import type { Process } from './process/process.ts';
import { createSelection } from './process/select.ts';
import { ProcessTable } from './process/table.ts';
import { ClientSpans } from './spans/client-spans.ts';
import { WallClock } from './spans/clock.ts';
import { KNOWN_METHODS } from './spans/server-attributes.ts';
import { ServerSpans } from './spans/server-spans.ts';
import type { SpanRecord } from './spans/span.ts';
import { StreamSpans } from './spans/stream-spans.ts';

export interface AgentOptions {
  readonly config: Config;
  readonly command: StartCommand | undefined;
  readonly status: StatusMode;
  readonly durationSeconds: number | undefined;
  readonly versions: { readonly agent: string; readonly sdk: string };
  /** What is attached in the place of what was planned: for tests that attach something wrong. */
  readonly changePlan?: ChangePlan | undefined;
}

const NO_SOCKET_TIER =
  'this kernel (below 6.3) has no tracepoints for bytes on sockets: only programs with hyper are seen, without addresses';

const SECOND_MS = 1_000;
const REFRESH_MS = 5_000;
/** The kernel tells an exit while it is under way; /proc shows it a little later. */
const EXIT_DELAY_MS = 50;
const REQUEST_TIMEOUT_NS = 15 * 60 * 1e9;

/** Runs until a signal, the end of the started program, or the given time. Returns the exit code. */
export async function runAgent(options: AgentOptions): Promise<number> {
  const { config } = options;
  if (config.disabled) {
    process.stderr.write('otel-rust-agent: OTEL_SDK_DISABLED is true: nothing is traced\n');
    return options.command ? await runUntraced(options.command) : 0;
  }
  const obstacle = unsupportedKernel() ?? missingPrivilege() ?? foreignPidNamespace();
  if (obstacle) throw new UserError(`Cannot trace: ${obstacle}`);
  limitAllocator();
  const stop = signalled(); // from now on a signal means a clean end, also while attaching
  const output = new Output(options);
  const { log } = output;
  const exporting = await createExport(config, log, {
    userAgent: `otel-rust-agent/${options.versions.agent}`,
    console: output,
  });
  await using agent = new Agent(options, output, exporting);
  await agent.start();
  return await agent.run(stop); // not just the promise: the agent would be disposed at once
}

/** The kernel tells of processes by their numbers in the host's. */
function foreignPidNamespace(): string | undefined {
  const { ok, found } = probePidNamespace();
  return ok ? undefined : `the process id namespace is ${found}; share the host's`;
}

async function runUntraced(command: StartCommand): Promise<number> {
  const stop = signalled();
  const child = new Child(command);
  const ended = child.ended.then((code) => ({ code, signal: undefined }));
  const { code, signal } = await Promise.race([stop, ended]);
  if (signal) await child.stop(signal);
  return code;
}

/** The terminal: log, console exporter and status line share it. */
class Output {
  readonly log: Log;
  readonly status: StatusLine;
  readonly colour = process.stdout.isTTY === true && !process.env.NO_COLOR;
  /** What the status line shows once the agent is there. */
  snapshot: () => StatusSnapshot = () => NOTHING_YET;

  constructor({ config, status }: AgentOptions) {
    this.status = new StatusLine({
      mode: status,
      stream: process.stderr,
      read: () => this.snapshot(),
      environment: process.env,
    });
    this.log = createLog(config.logLevel, (line) => this.status.print(`otel-rust-agent: ${line}\n`));
  }

  readonly print = (text: string): void => this.status.print(text, process.stdout);
}

const NOTHING_YET: StatusSnapshot = {
  programs: 0,
  spansPerSecond: 0,
  open: 0,
  exported: 0,
  queued: 0,
  losses: [],
};

class Agent implements AsyncDisposable {
  readonly #options: AgentOptions;
  readonly #status: StatusLine;
  readonly #log: Log;
  readonly #export: Export;
  readonly #clock = new WallClock();
  readonly #servers: ServerSpans;
  readonly #clients: ClientSpans;
  readonly #streams: StreamSpans;
  readonly #tracing: Tracing;
  readonly #programs: Programs;
  readonly #processes: Processes;
  readonly #timers: NodeJS.Timeout[] = [];
  #pump: RingPump | undefined;
  #child: Child | undefined;
  #commandIsTraced = true;
  #emitted = 0;
  #spansPerSecond = 0;
  #unknownRecords = 0;
  #lastEmitted = 0;
  #lastOrphans = '';
  /** Of the kernel side when it was closed. */
  #kernelCounts: KernelCounts | undefined;

  constructor(options: AgentOptions, output: Output, exporting: Export) {
    const { config } = options;
    this.#options = options;
    this.#status = output.status;
    this.#log = output.log;
    this.#export = exporting;
    output.snapshot = () => this.#snapshot();
    const source = procSource();
    const table = new ProcessTable(source, this.#selection(source));
    const { sink } = this.#export;
    const spanOptions = {
      clock: this.#clock,
      contextOf: (pid: number) => this.#processes.contextOf(pid),
      emit: (span: SpanRecord) => {
        this.#emitted++;
        sink.add(span);
      },
      knownMethods: new Set(config.knownMethods ?? KNOWN_METHODS),
      timeoutNs: REQUEST_TIMEOUT_NS,
      statusKeys: rpcStatusKeys(config.rpcOptIn).map(attributeKey),
    };
    const { serverRequest, serverResponse, clientRequest, clientResponse } = config.captureHeaders;
    const { grpcServerRequest, grpcClientRequest } = config.captureHeaders;
    this.#servers = new ServerSpans({
      ...spanOptions,
      captureRequest: nonEmptySet(serverRequest),
      captureResponse: nonEmptySet(serverResponse),
    });
    this.#clients = new ClientSpans({
      ...spanOptions,
      captureRequest: nonEmptySet(clientRequest),
      captureResponse: nonEmptySet(clientResponse),
    });
    this.#streams = new StreamSpans({
      ...spanOptions,
      calls: this.#clients,
      captureServerRequest: nonEmptySet(serverRequest),
      captureServerResponse: nonEmptySet(serverResponse),
      captureClientRequest: nonEmptySet(clientRequest),
      captureClientResponse: nonEmptySet(clientResponse),
      captureRpcServer: nonEmptySet(grpcServerRequest),
      captureRpcClient: nonEmptySet(grpcClientRequest),
    });
    this.#tracing = new Tracing(config);
    if (!this.#tracing.socketTier) this.#log.warn(NO_SOCKET_TIER);
    this.#reportInjection();
    this.#programs = new Programs(this.#tracing, config, this.#log, options.changePlan);
    this.#processes = new Processes({
      tracing: this.#tracing,
      programs: this.#programs,
      table,
      source,
      resource: {
        host: readHost(),
        versions: options.versions,
        serviceName: config.serviceName,
        resourceAttributes: config.resourceAttributes,
      },
      log: this.#log,
      onEnded: (pid) => {
        for (const spans of this.#allSpans) spans.processEnded(pid, this.#clock.nowNs());
      },
    });
  }

  get #allSpans() {
    return [this.#servers, this.#clients, this.#streams];
  }

  /** Attaches to what is there; throws UserError, with everything undone, when a named target can't be traced. */
  async start(): Promise<void> {
    const attached = this.#tracing.attachTracepoints();
    attached.catch(() => {}); // told below, if nothing else fails first
    this.#processes.planAhead();
    for (const path of this.#namedFiles()) await this.#expect(path);
    if (this.#options.command) await this.#expectCommand(this.#options.command);
    await attached;
    await this.#processes.start(this.#options.config.targets.pid.length > 0);
    this.#pump = new RingPump(this.#tracing.kernel.ring, this.#export.sink, this.#decoder());
    // Its file is known to the kernel side by now, so that its exec is noticed like any other.
    if (this.#options.command) this.#child = new Child(this.#options.command);
    this.#every(SECOND_MS, () => this.#eachSecond());
    this.#every(REFRESH_MS, () => {
      this.#processes.refresh();
      this.#debugOrphans();
      if (this.#clock.refresh()) this.#log.debug('the wall clock was set: time stamps follow');
    });
    this.#log.info(`ready: ${this.#processes.count} programs traced`);
    this.#status.start();
    setTimeout(() => collectStartUpGarbage().catch(() => undefined), SECOND_MS).unref();
  }

  async #expect(path: string): Promise<void> {
    const { dev: device, ino: inode } = statSync(path);
    const file = { device, inode };
    this.#processes.expect(file, path, await this.#programs.prepare(file, path, path));
  }

  /** A script or shell may start what `--exe` names. */
  async #expectCommand({ file }: StartCommand): Promise<void> {
    try {
      await this.#expect(file);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      if (this.#options.config.targets.exe.length === 0)
        throw new UserError(`${error.message}; name what it starts with --exe`);
      this.#commandIsTraced = false;
      this.#log.info(`${error.message}; waiting for what --exe names`);
    }
  }

  async run(signal: Promise<Stop>): Promise<number> {
    const ends: Promise<Stop>[] = [signal];
    const { durationSeconds } = this.#options;
    if (durationSeconds !== undefined) ends.push(after(durationSeconds * SECOND_MS));
    if (this.#child) ends.push(this.#child.ended.then((code) => ({ code, signal: undefined })));
    const end = await Promise.race(ends);
    if (this.#child) await this.#child.stop(end.signal ?? 'SIGTERM');
    return end.code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#detach();
    for (const spans of this.#allSpans) spans.stop(this.#clock.nowNs());
    await this.#export.shutdown();
    this.#status[Symbol.dispose]();
    const nothing = this.#emitted === 0 && this.#losses().every(({ count }) => count === 0);
    if (!nothing) this.#log.info(`stopped: ${this.#summary()}`);
  }

  /** Probes go first, so that the programs are free of them while the queue is flushed. */
  #detach(): void {
    this.#pump?.[Symbol.dispose]();
    this.#processes.untraceAll();
    this.#programs[Symbol.dispose]();
    this.#pump?.drainAll();
    this.#processes.close();
    this.#kernelCounts = this.#tracing.counts();
    this.#tracing[Symbol.dispose]();
  }

  #selection(source: ReturnType<typeof procSource>) {
    const { targets } = this.#options.config;
    const { command } = this.#options;
    const select = (exePatterns: readonly string[]) =>
      createSelection({ exePatterns, pids: targets.pid }, source, {
        cwd: process.cwd(),
        ownPid: process.pid,
      });
    const named = select(targets.exe);
    if (!command) return named;
    const all = select([...targets.exe, command.file]);
    return (candidate: Process) => (this.#commandIsTraced ? all : named)(candidate);
  }

  /** Files the user named that are there now: a mistake in them is told at once. */
  #namedFiles(): string[] {
    const { targets } = this.#options.config;
    const named = targets.exe
      .map((path) => resolve(path))
      .filter((path) => statSync(path, { throwIfNoEntry: false }));
    return named.filter((path) => !isGlob(path) || statSync(path).isFile());
  }

  #decoder() {
    const servers = this.#servers;
    const clients = this.#clients;
    const streams = this.#streams;
    return createDecoder({
      request: (event) => servers.request(event),
      piece: (event) => servers.piece(event),
      headDropped: (connection) => servers.headDropped(connection),
      response: (event) => servers.response(event),
      closed: (event) => servers.closed(event),
      call: (event) => clients.call(event),
      clientRequest: (event) => clients.request(event),
      clientResponse: (event) => clients.response(event),
      clientClosed: (event) => clients.closed(event),
      callEnd: (event) => {
        clients.callEnd(event);
        streams.callEnd(event);
      },
      stream: (event) => streams.stream(event),
      check: (event) => this.#processes.onCheck(event),
      exec: (event) => this.#processes.onExec(event.pid),
      exit: (event) => void setTimeout(() => this.#processes.onExit(event.pid), EXIT_DELAY_MS).unref(),
      panic: (event) => {
        servers.panic(event);
        streams.panic(event);
      },
      needed: (event, what) => this.#processes.onNeeded(event.pid, what),
      unknown: () => {
        this.#unknownRecords++;
      },
    });
  }

  #every(milliseconds: number, work: () => void): void {
    this.#timers.push(setInterval(work, milliseconds));
  }

  #eachSecond(): void {
    this.#spansPerSecond = this.#emitted - this.#lastEmitted;
    this.#lastEmitted = this.#emitted;
    for (const spans of this.#allSpans) spans.expire(this.#clock.nowNs());
    this.#processes.parkIdle();
    this.#processes.checkLinks();
  }

  #reportInjection(): void {
    const { injectionObstacle, tlsInjectionObstacle } = this.#tracing;
    if (injectionObstacle) this.#report('no trace context is written into requests', injectionObstacle);
    if (!tlsInjectionObstacle)
      this.#log.info(
        'trace context is written into HTTP/1.1 requests under TLS, in the memory of the programs',
      );
    else if (tlsInjectionObstacle.unexpected)
      this.#report('no trace context is written into requests under TLS', tlsInjectionObstacle);
  }

  #report(what: string, { reason, unexpected }: Obstacle): void {
    if (unexpected) this.#log.warn(`${what}: ${reason}`);
    else this.#log.info(`${what}: ${reason}`);
  }

  get #counts(): KernelCounts {
    return this.#kernelCounts ?? this.#tracing.counts();
  }

  #losses(): readonly Loss[] {
    const server = this.#servers.losses;
    const client = this.#clients.losses;
    const stream = this.#streams.losses;
    return [
      ...this.#counts.losses,
      ...this.#processes.checks,
      { name: 'malformed requests', count: server.malformedHeads + client.malformedHeads },
      { name: 'responses without request', count: server.unmatchedResponses },
      { name: 'client responses without request', count: client.unmatchedResponses },
      { name: 'client requests without call', count: client.requestsWithoutCall },
      {
        name: 'unknown process',
        count: server.unknownProcess + client.unknownProcess + stream.unknownProcess,
      },
      { name: 'too many open', count: server.openLimit + client.openLimit + stream.openLimit },
      { name: 'client urls cut', count: client.cutUrls + stream.cutUrls },
      { name: 'unknown records', count: this.#unknownRecords },
    ];
  }

  #snapshot(): StatusSnapshot {
    const { config } = this.#options;
    const stats = this.#export.stats();
    return {
      programs: this.#processes.count,
      spansPerSecond: this.#spansPerSecond,
      open: this.#allSpans.reduce((sum, { openCount }) => sum + openCount, 0),
      exported: config.exporters.includes('otlp') ? stats.exported : stats.printed,
      queued: stats.queued,
      losses: [...this.#losses(), ...exportLosses(stats)],
    };
  }

  #summary(): string {
    const { exported, losses } = this.#snapshot();
    const { injected } = this.#counts;
    const parts = [
      `${this.#emitted} spans, ${exported} exported`,
      named('lost', losses),
      this.#orphans(),
      named('requests with traceparent', injected),
    ];
    return parts.filter((part) => part !== '').join('; ');
  }

  #orphans(): string {
    return named('client spans without parent', this.#counts.orphans);
  }

  /** No losses: told to whoever wonders, when there are more of them. */
  #debugOrphans(): void {
    const orphans = this.#orphans();
    if (orphans !== this.#lastOrphans) this.#log.debug(orphans);
    this.#lastOrphans = orphans;
  }
}

function named(what: string, counts: readonly Loss[]): string {
  const parts = counts.filter(({ count }) => count > 0).map(({ name, count }) => `${name} ${count}`);
  return parts.length > 0 ? `${what}: ${parts.join(', ')}` : '';
}

interface Stop {
  readonly code: number;
  readonly signal: NodeJS.Signals | undefined;
}

function signalled(): Promise<Stop> {
  return new Promise((resolveStop) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => resolveStop({ code: 0, signal }));
    }
  });
}

function after(milliseconds: number): Promise<Stop> {
  return new Promise((resolveStop) => {
    setTimeout(() => resolveStop({ code: 0, signal: undefined }), milliseconds).unref();
  });
}

function nonEmptySet(values: readonly string[]): ReadonlySet<string> | undefined {
  return values.length > 0 ? new Set(values) : undefined;
}
