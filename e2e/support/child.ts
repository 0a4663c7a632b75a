import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Seconds on a real machine are minutes on one that is emulated. */
const PATIENCE = Number(process.env.OTEL_RUST_E2E_PATIENCE ?? 1);
const WAIT_TIMEOUT_MS = 20_000 * PATIENCE;
const STOP_TIMEOUT_MS = 20_000 * PATIENCE;
/** Characters kept of each stream, so that a panicking target doesn't fill the memory. */
const KEEP = 64_000_000;

const running = new Set<Child>();

/** A run of tests that is broken off leaves nothing behind. */
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    for (const child of running) child[Symbol.dispose]();
    process.exit(1);
  });

/** A process of ours with its output collected; disposing kills it. */
export class Child implements Disposable {
  readonly process: ChildProcess;
  readonly ended: Promise<Ending>;
  stdout = '';
  stderr = '';

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.process = spawn(command, args, {
      cwd: options.cwd,
      env: { ...cleanEnvironment(), ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout = (this.stdout + text).slice(-KEEP);
    });
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-KEEP);
    });
    this.ended = once(this.process, 'close').then(([code, signal]) => ({ code, signal }));
    running.add(this);
    const forget = () => running.delete(this);
    this.ended.then(forget, forget);
  }

  get pid(): number {
    const pid = this.process.pid;
    if (pid === undefined) throw new Error(`${this.process.spawnfile} was not started`);
    return pid;
  }

  get running(): boolean {
    return this.process.exitCode === null && this.process.signalCode === null;
  }

  /** Waits until `pattern` matches what came on the stream; fails when the process ends before. */
  async waitFor(
    stream: 'stdout' | 'stderr',
    pattern: RegExp,
    timeoutMs = WAIT_TIMEOUT_MS,
  ): Promise<RegExpMatchArray> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const match = this[stream].match(pattern);
      if (match) return match;
      if (!this.running) throw new Error(`${this.#name} ended before ${pattern}: ${this.#output}`);
      if (Date.now() > deadline) throw new Error(`${this.#name} did not print ${pattern}: ${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Sends a signal and waits for the end; SIGKILL follows when it takes too long, and the call fails. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ending> {
    if (this.running) this.process.kill(signal);
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.process.kill('SIGKILL');
    }, STOP_TIMEOUT_MS);
    const ending = await this.ended;
    clearTimeout(timer);
    if (late) throw new Error(`${this.#name} did not end within ${STOP_TIMEOUT_MS} ms: ${this.#output}`);
    return ending;
  }

  [Symbol.dispose](): void {
    if (this.running) this.process.kill('SIGKILL');
  }

  get #name(): string {
    return this.process.spawnargs.slice(0, 3).join(' ');
  }

  get #output(): string {
    return `stdout ${JSON.stringify(this.stdout.slice(-2000))}, stderr ${JSON.stringify(this.stderr.slice(-2000))}`;
  }
}

/** The tests' own OTEL variables must not reach what they start. */
function cleanEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('OTEL_'));
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? '']));
}
