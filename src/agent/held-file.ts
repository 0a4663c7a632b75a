import { closeSync, type FSWatcher, fstatSync, openSync, statSync, watch } from 'node:fs';
import { messageOf, UserError } from '../base/errors.ts';
import { giveLeaseBack, takeReadLease } from '../kernel/lease.ts';
import { leadsTo } from '../process/proc.ts';
import { type FileIdentity, isSameFile } from '../process/process.ts';

/** Of this moment: the file may be there at the next one, or another in its place. */
export class ReplacedError extends UserError {}

/**
 * An executable with probes, held open: the very file, whatever becomes of its path. Into one that was overwritten in place the
 * kernel would put the old probes, with the old instructions behind them: the program crashes (seen on 6.18). So a writer
 * waits, where the file system has leases, until `onWrite` has disposed of this.
 */
export class HeldFile implements Disposable {
  /** Opens this file again. */
  readonly path: string;
  onWrite: (() => void) | undefined;
  readonly #identity: FileIdentity;
  readonly #fd: number;
  readonly #state: string;
  readonly #leased: boolean;
  #watcher: FSWatcher | undefined;
  #written = false;

  /** UserError when it can't be opened; ReplacedError when the path leads to no file, or another, by now. */
  constructor(path: string, file: FileIdentity) {
    this.#fd = asked(path, () => openSync(path, 'r'));
    this.path = `/proc/self/fd/${this.#fd}`;
    this.#identity = file;
    const { dev: device, ino: inode } = fstatSync(this.#fd);
    if (!isSameFile({ device, inode }, file)) {
      closeSync(this.#fd);
      throw new ReplacedError(`${path} was replaced by another file`);
    }
    this.#leased = takeReadLease(this.#fd, () => this.#noticeWriter());
    this.#state = stateOf(this.path);
    if (!this.#leased) this.#watch();
  }

  isAt(path: string): boolean {
    return leadsTo(path, this.#identity);
  }

  /** Overwritten since it was opened, or about to be. Under a lease a new time stamp tells nothing. */
  get isChanged(): boolean {
    return this.#written || (!this.#leased && stateOf(this.path) !== this.#state);
  }

  #noticeWriter(): void {
    this.#written = true;
    if (this.onWrite) this.onWrite();
    else giveLeaseBack(this.#fd); // nothing is attached, and nothing will be
  }

  /** Tells a moment later. */
  #watch(): void {
    try {
      this.#watcher = watch(this.path, { persistent: false }, () => this.#look());
      this.#watcher.on('error', () => undefined);
    } catch {
      return; // too many watches
    }
  }

  #look(): void {
    try {
      if (!this.isChanged || this.#written) return;
    } catch {
      return; // the file system is gone
    }
    this.#written = true;
    this.onWrite?.();
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    if (this.#leased) giveLeaseBack(this.#fd);
    closeSync(this.#fd);
  }
}

/** Tells one file, and one state of its contents, from another. UserError when the path leads to none. */
export function stateOf(path: string): string {
  const { dev, ino, size, mtimeNs } = asked(path, () => statSync(path, { bigint: true }));
  return [dev, ino, size, mtimeNs].join(' ');
}

const GONE: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR', 'ESRCH']);

function asked<T>(path: string, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    const message = `Cannot read ${path}: ${messageOf(error)}`;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    throw GONE.has(code) ? new ReplacedError(message) : new UserError(message);
  }
}
