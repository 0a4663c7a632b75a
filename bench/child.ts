import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface ChildOptions {
  /** The CPU, or the list of them, that it may run on; else the bench's own. */
  readonly cpu?: number | string;
  readonly env?: Readonly<Record<string, string>>;
}

const STOP_TIMEOUT_MS = 20_000;
const WAIT_TIMEOUT_MS = 120_000;

/** A process of ours, its output collected; disposing kills it. */
export class Child implements Disposable {
  readonly #process: ChildProcess;
  readonly #name: string;
  readonly #ended: Promise<number>;
  readonly #watchers = new Set<() => void>();
  output = '';

  constructor(file: string, args: readonly string[], options: ChildOptions = {}) {
    this.#name = `${file} ${args.join(' ')}`;
    const [command, ...rest] = options.cpu === undefined ? [file] : ['taskset', '-c', `${options.cpu}`, file];
    this.#process = spawn(command as string, [...rest, ...args], {
      env: { ...environment(), ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    }
    this.#process.stdin?.on('error', () => undefined);
    this.#ended = once(this.#process, 'close').then(([code]) => {
      this.#take('');
      return code ?? -1;
    });
  }

  /** Started, and its output as far as `pattern`; without that it is killed. */
  static async started(
    pattern: RegExp,
    file: string,
    args: readonly string[],
    options: ChildOptions = {},
  ): Promise<readonly [Child, RegExpMatchArray]> {
    const child = new Child(file, args, options);
    try {
      return [child, await child.waitFor(pattern)];
    } catch (error) {
      child[Symbol.dispose]();
      throw error;
    }
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error(`Cannot start ${this.#name}`);
    return pid;
  }

  /** Resolves as soon as the output so far matches. */
  async waitFor(pattern: RegExp, timeoutMs = WAIT_TIMEOUT_MS): Promise<RegExpMatchArray> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const match = this.output.match(pattern);
      if (match) return match;
      if (!this.#running)
        throw new Error(`${this.#name} ended before ${pattern}: ${this.output.slice(-2000)}`);
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`${this.#name} did not print ${pattern}: ${this.output.slice(-2000)}`);
      await this.#change(left);
    }
  }

  /** A line on its standard input. */
  tell(text = ''): void {
    this.#process.stdin?.write(`${text}\n`);
  }

  /** Its exit code. */
  async end(): Promise<number> {
    return await this.#ended;
  }

  /** SIGTERM, and its exit code. */
  async stop(): Promise<number> {
    if (this.#running) this.#process.kill('SIGTERM');
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const code = await this.#ended;
    clearTimeout(timer);
    return code;
  }

  [Symbol.dispose](): void {
    if (this.#running) this.#process.kill('SIGKILL');
  }

  get #running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  #take(text: string): void {
    this.output += text;
    for (const watcher of this.#watchers) watcher();
  }

  async #change(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        this.#watchers.delete(finish);
        resolve();
      };
      const timer = setTimeout(finish, timeoutMs);
      this.#watchers.add(finish);
    });
  }
}

/** The caller's own OTEL variables must not reach what is measured. */
function environment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(([name]) => !name.startsWith('OTEL_'));
  return Object.fromEntries(entries.map(([name, value]) => [name, value ?? '']));
}
