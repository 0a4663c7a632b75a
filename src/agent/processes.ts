import { statSync } from 'node:fs';
import { messageOf, UserError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { kernelFileKeys, toKernelKey } from '../process/file-key.ts';
import type { FileIdentity, Process, ProcessSource } from '../process/process.ts';
import { type ResourceContext, tracedProcess } from '../process/resource.ts';
import type { ProcessTable, TableChange } from '../process/table.ts';
import type { ClientContext } from '../spans/client-spans.ts';
import type { ProcessContext } from '../spans/server-spans.ts';
import type { StreamContext } from '../spans/stream-spans.ts';
import { addConnections } from './injection.ts';
import { decodeUse, encodeFileKey, encodeU32, PARKABLE, type Parkable, type Use } from './kernel-values.ts';
import type { Program, Programs } from './programs.ts';
import { streamScopes } from './stream-scopes.ts';
import type { Tracing } from './tracing.ts';

/** After its end a process's last events are still on their way. */
const LINGER_MS = 5_000;
const CONNECTING_MS = 1_000;

interface Traced extends ProcessContext, ClientContext, StreamContext {
  readonly program: Program;
  readonly of: Process;
  readonly keys: readonly Uint8Array[];
}

export interface ProcessesOptions {
  readonly tracing: Tracing;
  readonly programs: Programs;
  readonly table: ProcessTable;
  readonly source: ProcessSource;
  readonly resource: ResourceContext;
  readonly log: Log;
  readonly onEnded: (pid: number) => void;
}

/** Keeps the kernel's list of traced processes equal to the table's, and knows what their spans need. */
export class Processes {
  readonly #options: ProcessesOptions;
  readonly #traced = new Map<number, Traced>();
  readonly #warned = new Set<string>();
  #closed = false;

  constructor(options: ProcessesOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#options.table.targets.size;
  }

  readonly contextOf = (pid: number): (ProcessContext & ClientContext & StreamContext) | undefined =>
    this.#traced.get(pid);

  /** All that run now. Throws the first UserError when `strict`. */
  async start(strict: boolean): Promise<void> {
    const { started } = this.#options.table.refresh();
    const results = await Promise.allSettled(started.map((process) => this.#add(process)));
    for (const [index, result] of results.entries()) {
      if (result.status === 'fulfilled') continue;
      if (strict) throw result.reason;
      this.#report(started[index], result.reason);
    }
  }

  /** From now on a process that executes this file is traced from its first instruction. */
  expect(file: FileIdentity, program: Program): void {
    this.#options.tracing.kernel.map('files').update(encodeFileKey(toKernelKey(file)), program.target);
  }

  /**
   * The kernel side forgets every process. Before probes are detached: what the sockets show without them would be
   * taken for what no probed client has written.
   */
  untraceAll(): void {
    const { kernel } = this.#options.tracing;
    for (const [pid, { keys }] of this.#traced) {
      for (const key of keys) kernel.map('files').delete(key);
      for (const map of PER_PROCESS) kernel.map(map).delete(encodeU32(pid));
    }
  }

  /** What is still under way comes to nothing. */
  close(): void {
    this.#closed = true;
  }

  onExec(pid: number): void {
    this.#apply(this.#options.table.onExec(pid), pid);
  }

  /** Of a process whose probes of this kind may be parked. */
  onNeeded(pid: number, what: Parkable): void {
    const traced = this.#traced.get(pid);
    if (this.#closed || !traced) return;
    const { programs } = this.#options;
    const { program, of } = traced;
    try {
      if (programs.unpark(program, what, of.executable.openPath)) this.#rewrite(program);
      if (what === 'blocking') programs.keep(program, what);
    } catch (error) {
      this.#report(of, error); // the process may be gone by now; the next one that needs them tries again
    }
  }

  /** To be called about once a second: parks probes that nothing has needed so far. */
  parkIdle(): void {
    this.#noticeBlockers();
    for (const what of PARKABLE) {
      for (const [program, { without, needing }] of this.#useOf(what)) {
        if (needing > 0 || without < REQUESTS_WITHOUT) continue;
        this.#options.programs.park(program, what);
        this.#rewrite(program);
      }
    }
    this.#noticeBlockers(); // who began just now, its event being lost or not yet read
  }

  /** The blocking client's probes stay, or are back, for programs of which a process has used it. */
  #noticeBlockers(): void {
    const blockers = this.#options.tracing.kernel.map('blockers');
    for (const [pid, { program }] of this.#traced) {
      if (program.parking.blocking === 'kept') continue;
      if (blockers.lookup(encodeU32(pid))) this.onNeeded(pid, 'blocking');
    }
  }

  /** By the programs whose probes of this kind are attached and may be parked. */
  #useOf(what: Parkable): Map<Program, Use> {
    const use = new Map<Program, Use>();
    for (const [pid, { program, of }] of this.#traced) {
      if (program.parking[what] !== 'attached' || this.#options.table.targets.get(pid) !== of) continue;
      use.set(program, add(use.get(program), this.#useBy(pid)[what]));
    }
    return use;
  }

  onExit(pid: number): void {
    this.#apply(this.#options.table.onExit(pid));
  }

  refresh(): void {
    this.#apply(this.#options.table.refresh());
  }

  /** `execed`: the kernel may have taken this process for a target because of its file. */
  #apply({ started, ended }: TableChange, execed?: number): void {
    if (this.#closed) return;
    for (const process of ended) this.#remove(process);
    for (const process of started) {
      this.#add(process).catch((error: unknown) => this.#report(process, error));
    }
    if (execed !== undefined && !this.#options.table.targets.has(execed)) this.#untrace(execed);
  }

  /** Without waiting where the binary is known: the first request may be the next event. */
  async #add(process: Process): Promise<void> {
    const { programs } = this.#options;
    const { executable } = process;
    const known = programs.ready(executable);
    if (known) return this.#trace(process, known);
    this.#trace(process, await programs.prepare(executable, executable.openPath, executable.path));
  }

  #trace(process: Process, program: Program): void {
    const { tracing, source, resource, table, log } = this.#options;
    if (this.#closed || table.targets.get(process.pid) !== process) return; // ended while its binary was analysed
    const details = source.details(process.pid);
    if (!details) return;
    const facts = { serviceVersion: undefined, rustcVersion: program.plan.binary.rustcVersion };
    const keys = kernelFileKeys(process, source.mappings(process.pid)).map(encodeFileKey);
    this.#traced.set(process.pid, {
      of: process,
      program,
      keys,
      process: tracedProcess(process, details, facts, resource),
      scope: program.scope,
      callScope: program.callScope,
      wireScope: program.wireScope,
      ...streamScopes(program),
    });
    for (const key of keys) tracing.kernel.map('files').update(key, program.target);
    tracing.kernel.map('targets').update(encodeU32(process.pid), program.target);
    this.#inject(process);
    log.info(`tracing ${process.executable.name} (pid ${process.pid})`);
  }

  /** Those that are being made at this moment are established, or noticed by the kernel side, a little later. */
  #inject(process: Process): void {
    const { tracing, table } = this.#options;
    if (tracing.injectionObstacle) return;
    const add = () => tracing.countFailedConnections(addConnections(tracing.kernel, process.pid));
    add();
    const again = () => !this.#closed && table.targets.get(process.pid) === process && add();
    setTimeout(again, CONNECTING_MS).unref();
  }

  #remove(process: Process): void {
    const { table, programs, tracing, onEnded, log } = this.#options;
    const { pid, executable } = process;
    if (!table.targets.has(pid)) this.#untrace(pid);
    onEnded(pid);
    const traced = this.#traced.get(pid);
    if (traced?.of !== process) return;
    log.info(`${executable.name} (pid ${pid}) has ended`);
    const forget = () => this.#traced.get(pid) === traced && this.#traced.delete(pid);
    setTimeout(forget, LINGER_MS).unref();
    const others = [...table.targets.values()].some((other) => isSame(other.executable, executable));
    if (others || leadsTo(executable.path, executable)) return;
    for (const key of traced.keys) tracing.kernel.map('files').delete(key);
    programs.forget(executable);
  }

  #useBy(pid: number): Readonly<Record<Parkable, Use>> {
    const value = this.#options.tracing.kernel.map('targets').lookup(encodeU32(pid));
    return value ? decodeUse(value) : { server: NO_USE, client: NO_USE, blocking: NO_USE };
  }

  /** Gives the kernel side the program's target as it is now, for each process and file of it. */
  #rewrite(program: Program): void {
    const { tracing, table } = this.#options;
    for (const [pid, traced] of this.#traced) {
      if (traced.program !== program || table.targets.get(pid) !== traced.of) continue;
      for (const key of traced.keys) tracing.kernel.map('files').update(key, program.target);
      tracing.kernel.map('targets').update(encodeU32(pid), program.target);
    }
  }

  #untrace(pid: number): void {
    const { kernel } = this.#options.tracing;
    for (const map of PER_PROCESS) kernel.map(map).delete(encodeU32(pid));
  }

  /** A program that can't be traced is reported once a file. */
  #report(process: Process | undefined, error: unknown): void {
    const message = messageOf(error);
    if (this.#closed || this.#warned.has(message)) return;
    this.#warned.add(message);
    const { log } = this.#options;
    if (error instanceof UserError) log.warn(message);
    else log.error(`${process?.executable.path ?? 'a program'}: ${message}`);
  }
}

/** Maps of the kernel side whose keys are numbers of processes. */
const PER_PROCESS = ['targets', 'blockers'];

const NO_USE: Use = { without: 0, needing: 0 };

/** So many plaintext requests without any TLS make a server, or a client, that doesn't use its TLS; calls likewise. */
const REQUESTS_WITHOUT = 1_000;

const add = (a: Use | undefined, b: Use): Use =>
  a ? { without: a.without + b.without, needing: a.needing + b.needing } : b;

const isSame = (a: FileIdentity, b: FileIdentity) => a.device === b.device && a.inode === b.inode;

function leadsTo(path: string, file: FileIdentity): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat !== undefined && isSame({ device: stat.dev, inode: stat.ino }, file);
}
