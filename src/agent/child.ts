import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { UserError } from '../base/errors.ts';

/** How long a started program has to end after the signal the agent passes on. */
const PATIENCE_MS = 10_000;

export interface StartCommand {
  readonly file: string;
  readonly argv: readonly string[];
}

/** The program behind `--`, on the agent's own terminal. */
export class Child {
  readonly #process: ChildProcess;
  /** Exit code of the program, 128 + n after signal n. */
  readonly ended: Promise<number>;

  constructor({ file, argv }: StartCommand) {
    this.#process = spawn(file, argv.slice(1), { argv0: argv[0] ?? file, stdio: 'inherit' });
    this.ended = new Promise((resolve, reject) => {
      this.#process.once('error', (error) => reject(new UserError(`Cannot start ${file}: ${error.message}`)));
      this.#process.once('exit', (code, signal) => resolve(code ?? 128 + signalNumber(signal)));
    });
    this.ended.catch(() => undefined);
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  async stop(signal: NodeJS.Signals): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill(signal);
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), PATIENCE_MS);
    await this.ended.catch(() => undefined);
    clearTimeout(timer);
  }
}

const signalNumber = (signal: NodeJS.Signals | null) => (signal && constants.signals[signal]) ?? 0;
