import { messageOf, UserError } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { Loss } from '../cli/status.ts';
import type { CheckEvent } from '../events/events.ts';
import { target } from '../events/layout.ts';
import type { Plan } from '../plan/plan.ts';
import { TASK_SLOT, withoutSite } from '../plan/without-site.ts';
import { kernelFileKeys, toKernelKey } from '../process/file-key.ts';
import { leadsTo } from '../process/proc.ts';
import { type FileIdentity, isSameFile, type Process, type ProcessSource } from '../process/process.ts';
import { type ResourceContext, tracedProcess } from '../process/resource.ts';
import type { ProcessTable, TableChange } from '../process/table.ts';
import type { ClientContext } from '../spans/client-spans.ts';
import type { ProcessContext } from '../spans/server-spans.ts';
import type { StreamContext } from '../spans/stream-spans.ts';
import { ReplacedError } from './held-file.ts';
import { addConnections } from './injection.ts';
import {
  decodeLinks,
  decodeUse,
  encodeFileKey,
  encodeU32,
  PARKABLE,
  type Parkable,
  type Use,
} from './kernel-values.ts';
import type { CheckedSite, Program, Programs } from './programs.ts';
import { evidenceOf, judge, linksCalls, placeOf, placeOfSlot } from './self-check.ts';
import { streamScopes } from './stream-scopes.ts';
import { TargetMap } from './target-map.ts';
import type { Tracing } from './tracing.ts';

/** After its end a process's last events are still on their way. */
const LINGER_MS = 5_000;
const CONNECTING_MS = 1_000;

interface Traced extends ProcessContext, ClientContext, StreamContext {
  readonly program: Program;
  readonly of: Process;
  readonly keys: readonly Uint8Array[];
}

interface WaitingFile {
  readonly file: FileIdentity;
  readonly path: string;
  /** Under which the kernel side knows it. */
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
  readonly #targets: TargetMap;
  readonly #traced = new Map<number, Traced>();
  readonly #warned = new Set<string>();
  #closed = false;
  /** Whose calls are found again. */
  readonly #linked = new WeakSet<Program>();
  /** Binaries that no process runs, for the next one. */
  readonly #waiting = new Map<Program, WaitingFile>();
  #switchedOff = 0;
  #partial = 0;

  constructor(options: ProcessesOptions) {
    this.#options = options;
    this.#targets = new TargetMap(options.tracing.kernel);
    options.programs.onOverwritten = (program) => this.#overwritten(program);
  }

  get count(): number {
    return this.#options.table.targets.size;
  }

  readonly contextOf = (pid: number): (ProcessContext & ClientContext & StreamContext) | undefined =>
    this.#traced.get(pid);

  /** Before `start`, while other things are waited for. */
  planAhead(): void {
    const { table, programs } = this.#options;
    programs.planAhead(table.running().map(({ executable }) => executable.openPath));
  }

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
  expect(file: FileIdentity, path: string, program: Program): void {
    const keys = [encodeFileKey(toKernelKey(file))];
    for (const key of keys) this.#options.tracing.kernel.map('files').update(key, program.target);
    this.#waiting.set(program, { file, path, keys });
  }

  /**
   * The kernel side forgets every process. Before probes are detached: what the sockets show without them would be
   * taken for what no probed client has written.
   */
  untraceAll(): void {
    const { kernel } = this.#options.tracing;
    for (const [pid, { keys }] of this.#traced) {
      for (const key of keys) kernel.map('files').delete(key);
      this.#untrace(pid);
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
      if (programs.unpark(program, what)) this.#rewrite(program);
      programs.keep(program, what);
    } catch (error) {
      this.#report(of, error); // the process may be gone by now; the next one that needs them tries again
    }
  }

  /** To be called about once a second: parks probes that nothing has needed so far. */
  parkIdle(): void {
    this.#noticeUse();
    for (const what of PARKABLE) {
      for (const [program, { without, needing }] of this.#useOf(what)) {
        if (needing > 0) this.#options.programs.keep(program, what);
        else if (without >= WITHOUT[what])
          this.#options.programs.park(program, what, () => this.#rewrite(program));
      }
    }
    this.#noticeUse(); // who began just now, its event being lost or not yet read
  }

  /**
   * The kernel side complains of a probe or task slot. One that is wrong is switched off with all that depends on it;
   * where that is not sure, it goes on.
   */
  onCheck(event: CheckEvent): void {
    const checked = this.#closed ? undefined : this.#options.programs.checked(event.site);
    const verdict = judge(event);
    if (!checked) return;
    if (verdict === 'partial') this.#reportPartial(checked);
    else if (verdict === 'off') this.#switchOff(checked, evidenceOf(event));
    else if (checked.site === TASK_SLOT) this.#rewrite(checked.program); // it was left aside until now
  }

  /** To be called about once a second: hooks of which each works, and which do not find what they are to find. */
  checkLinks(): void {
    for (const [pid, { program, of }] of this.#traced) {
      const call = program.plan.probes.find(({ hook }) => hook === 'hyper.client.call');
      if (!call || this.#linked.has(program) || this.#options.table.targets.get(pid) !== of) continue;
      const value = this.#targets.get(pid);
      const links = value && decodeLinks(value);
      const linked = links && linksCalls(links);
      if (linked) this.#linked.add(program);
      if (linked !== false) continue;
      this.#switchOff(
        { program, site: call },
        `none of ${links?.calls} calls was found again where requests are written`,
      );
    }
  }

  #switchOff({ program, site }: CheckedSite, evidence: string): void {
    const { programs, log } = this.#options;
    const { plan, name } = program;
    const place = site === TASK_SLOT ? plan.taskSlot && placeOfSlot(plan.taskSlot) : placeOf(site);
    const less = withoutSite(plan, site, evidence);
    try {
      programs.reduce(program, less, () => this.#rewrite(program));
    } catch (error) {
      log.error(`${name}: cannot attach what is left: ${messageOf(error)}`);
    }
    this.#switchedOff++;
    log.warn(`${name}: switched off ${place}: ${evidence}${lossText(plan, less)}`);
  }

  #reportPartial({ program, site }: CheckedSite): void {
    if (site === TASK_SLOT) return;
    this.#partial++;
    const answers = site.hook === 'hyper.server.parse' ? 'hyper.server.encode' : 'hyper.client.parse';
    this.#options.log.warn(
      `${program.name}: ${answers} misses some responses: their requests end without a status`,
    );
  }

  /** Hooks that were switched off, and hooks that miss something. */
  get checks(): readonly Loss[] {
    return [
      { name: 'hooks switched off', count: this.#switchedOff },
      { name: 'hooks that miss some', count: this.#partial },
    ];
  }

  /** Probes that stay once they were needed do so, or are back, for programs of which a process has needed them. */
  #noticeUse(): void {
    const blockers = this.#options.tracing.kernel.map('blockers');
    for (const [pid, { program }] of this.#traced) {
      const { blocking, tasks } = program.parking;
      if (blocking !== 'kept' && blockers.lookup(encodeU32(pid))) this.onNeeded(pid, 'blocking');
      if (tasks !== 'kept' && this.#useBy(pid).tasks.needing > 0) this.onNeeded(pid, 'tasks');
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
    this.#forgetReplaced();
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
    const { programs, table } = this.#options;
    const { executable } = process;
    const known = programs.ready(executable);
    if (known) return this.#trace(process, known);
    const prepare = () => programs.prepare(executable, executable.openPath, executable.path);
    // Another process of this file, by which it was opened, may have ended while this one goes on.
    const again = (error: unknown) => {
      if (!(error instanceof ReplacedError) || table.targets.get(process.pid) !== process) throw error;
      return prepare();
    };
    this.#trace(process, await prepare().catch(again));
  }

  #trace(process: Process, program: Program): void {
    const { tracing, source, resource, table, log } = this.#options;
    const details = table.targets.get(process.pid) === process && source.details(process.pid);
    if (this.#closed) return;
    if (!details) {
      // It has ended while its binary was analysed, which waits for the next one.
      if (!this.#waiting.has(program))
        this.#waiting.set(program, { file: process.executable, path: process.executable.path, keys: [] });
      return;
    }
    const { packageVersion: serviceVersion, rustcVersion } = program.plan.binary;
    const facts = { serviceVersion, rustcVersion };
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
    this.#setTarget(process.pid, program);
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
    const { table, onEnded, log } = this.#options;
    const { pid, executable } = process;
    if (!table.targets.has(pid)) this.#untrace(pid);
    onEnded(pid);
    const traced = this.#traced.get(pid);
    if (traced?.of !== process) return;
    log.info(`${executable.name} (pid ${pid}) has ended`);
    const forget = () => this.#traced.get(pid) === traced && this.#traced.delete(pid);
    setTimeout(forget, LINGER_MS).unref();
    const others = [...table.targets.values()].some((other) => isSameFile(other.executable, executable));
    if (others) return;
    this.#waiting.set(traced.program, { file: executable, path: executable.path, keys: traced.keys });
    this.#forgetReplaced();
  }

  /** Of those that wait: whose path leads to another file by now, as after a deployment. */
  #forgetReplaced(): void {
    const { table, programs } = this.#options;
    for (const [program, { file, path, keys }] of this.#waiting) {
      const runs = [...table.targets.values()].some(({ executable }) => isSameFile(executable, file));
      if (runs || leadsTo(path, file)) continue;
      this.#waiting.delete(program);
      this.#forgetKeys(keys);
      programs.forget(file);
    }
  }

  #forgetKeys(keys: readonly Uint8Array[]): void {
    for (const key of keys) this.#options.tracing.kernel.map('files').delete(key);
  }

  /** In place. What runs of it by now, if anything, is not what was planned for. */
  #overwritten(program: Program): void {
    if (this.#closed) return;
    this.#forgetKeys(this.#waiting.get(program)?.keys ?? []);
    this.#waiting.delete(program);
    for (const [pid, traced] of this.#traced) {
      if (traced.program !== program) continue;
      this.#forgetKeys(traced.keys);
      if (this.#options.table.targets.get(pid) === traced.of) this.#untrace(pid);
    }
    this.#options.log.info(`${program.name} is overwritten: it is analysed again when it is started`);
  }

  #useBy(pid: number): Readonly<Record<Parkable, Use>> {
    const value = this.#targets.get(pid);
    return value ? decodeUse(value) : NO_USE;
  }

  /** Gives the kernel side the program's target as it is now, for each process and file of it. */
  #rewrite(program: Program): void {
    const { tracing, table, programs } = this.#options;
    for (const [pid, traced] of this.#traced) {
      if (traced.program !== program || table.targets.get(pid) !== traced.of) continue;
      const use = this.#useBy(pid); // which is counted anew from here on
      for (const what of PARKABLE) {
        if (use[what].needing === 0) continue;
        if (program.parking[what] === 'parked')
          setImmediate(() => this.onNeeded(pid, what)); // just now
        else programs.keep(program, what);
      }
      for (const key of traced.keys) tracing.kernel.map('files').update(key, program.target);
      this.#setTarget(pid, program);
    }
  }

  #setTarget(pid: number, { target, name }: Program): void {
    if (this.#targets.set(pid, target)) return;
    this.#options.log.error(
      `cannot trace ${name} (pid ${pid}): its number collides with those of two traced processes`,
    );
  }

  #untrace(pid: number): void {
    this.#targets.delete(pid);
    this.#options.tracing.kernel.map('blockers').delete(encodeU32(pid));
  }

  /** A program that can't be traced is reported once a file. */
  #report(process: Process | undefined, error: unknown): void {
    const message = messageOf(error);
    if (this.#closed || this.#warned.has(message)) return;
    this.#warned.add(message);
    const { log } = this.#options;
    if (error instanceof ReplacedError)
      log.debug(message); // it has ended already
    else if (error instanceof UserError) log.warn(message);
    else log.error(`${process?.executable.path ?? 'a program'}: ${message}`);
  }
}

/** What is not seen any more. */
function lossText(before: Plan, after: Plan): string {
  const lost = before.sources.filter(({ source }, index) => source !== after.sources[index]?.source);
  return lost.length > 0 ? `; from now on ${lost.map(({ datum }) => `${datum}: none`).join(', ')}` : '';
}

const NO_USE = decodeUse(new Uint8Array(target.size));

/**
 * So many plaintext requests without any TLS make a server, or a client, that doesn't use its TLS; calls without a blocking
 * one, and tasks without a call, likewise. Of the last much more is asked: the first calls will have no parent.
 */
const WITHOUT: Readonly<Record<Parkable, number>> = {
  server: 1_000,
  client: 1_000,
  blocking: 1_000,
  tasks: 100_000,
};

const add = (a: Use | undefined, b: Use): Use =>
  a ? { without: a.without + b.without, needing: a.needing + b.needing } : b;
