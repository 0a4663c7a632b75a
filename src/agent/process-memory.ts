import { closeSync, openSync, readSync } from 'node:fs';

/** Reads one process's memory through /proc/<pid>/mem, which needs CAP_SYS_PTRACE. Opened at first use. */
export class ProcessMemory implements Disposable {
  readonly #pid: number;
  #fd: number | undefined;

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** undefined when the process is gone or the range is not mapped. */
  readonly read = (address: number, size: number): Buffer | undefined => {
    if (!(address > 0) || size <= 0) return undefined;
    try {
      this.#fd ??= openSync(`/proc/${this.#pid}/mem`, 'r');
      const bytes = Buffer.alloc(size);
      return readSync(this.#fd, bytes, 0, size, address) === size ? bytes : undefined;
    } catch {
      return undefined;
    }
  };

  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
