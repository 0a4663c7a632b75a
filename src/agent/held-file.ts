import { closeSync, type FSWatcher, fstatSync, openSync, statSync, watch } from 'node:fs';
import { messageOf, UserError } from '../base/errors.ts';
import { forgetLease, takeReadLease } from '../kernel/lease.ts';
import { type FileIdentity, isSameFile } from '../process/process.ts';

/** Of this moment: the file may be there at the next one, or another in its place. */
export class ReplacedError extends UserError {}

/**
 * An executable with probes, held open: the very file, whatever becomes of its path. Into one that was overwritten in place the
 * kernel would put the old probes, with the old instructions behind them: the program crashes (seen on 6.18).
 */
export class HeldFile implements Disposable {
  /** Opens this file again. */
  readonly path: string;
  readonly #fd: number;
  readonly #contents: string;
  #watcher: FSWatcher | undefined;

  /** UserError when it can't be opened, or the path leads to another file by now. */
  constructor(path: string, file: FileIdentity) {
    this.#fd = asked(path, () => openSync(path, 'r'));
    this.path = `/proc/self/fd/${this.#fd}`;
    this.#contents = contentsOf(this.path);
    const { dev: device, ino: inode } = fstatSync(this.#fd);
    if (isSameFile({ device, inode }, file)) return;
    closeSync(this.#fd);
    throw new ReplacedError(`${path} was replaced by another file`);
  }

  isAt(path: string): boolean {
    const found = statSync(path, { throwIfNoEntry: false });
    const { dev, ino } = fstatSync(this.#fd);
    return found !== undefined && found.dev === dev && found.ino === ino;
  }

  /** Overwritten since it was opened. */
  get isChanged(): boolean {
    return contentsOf(this.path) !== this.#contents;
  }

  /**
   * Tells when it is about to be overwritten, which the kernel allows while no process runs it: the writer waits until this
   * is disposed of. Where that can't be had it is told that it has been, a moment later.
   */
  onWrite(listener: () => void): void {
    if (takeReadLease(this.#fd, listener)) return;
    try {
      this.#watcher = watch(this.path, { persistent: false }, () => {
        if (this.isChanged) listener();
      });
      this.#watcher.on('error', () => undefined);
    } catch {
      return; // too many watches
    }
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    forgetLease(this.#fd);
    closeSync(this.#fd);
  }
}

/** Tells one state of a file's contents from another. */
export function contentsOf(path: string): string {
  const { size, mtimeNs } = asked(path, () => statSync(path, { bigint: true }));
  return `${size}:${mtimeNs}`;
}

function asked<T>(path: string, ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    throw new ReplacedError(`Cannot read ${path}: ${messageOf(error)}`);
  }
}
