import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { messageOf, UserError } from '../base/errors.ts';
import { hex } from '../base/reader.ts';
import { type ByteSource, checkRange } from '../elf/source.ts';

/** What tells one state of a file from another without reading it. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
  readonly size: number;
  readonly modifiedNs: bigint;
  /** Last change of contents or attributes; unlike `modifiedNs` it can't be set back. */
  readonly changedNs: bigint;
}

/** An open file. Each read is one or more pread(2) into a fresh buffer. */
export class FileSource implements ByteSource, Disposable {
  readonly path: string;
  readonly identity: FileIdentity;
  readonly #fd: number;

  constructor(path: string) {
    this.path = path;
    this.#fd = open(path);
    const stats = fstatSync(this.#fd, { bigint: true });
    if (!stats.isFile()) {
      closeSync(this.#fd);
      throw new UserError(`Cannot read ${path}: it is not a regular file`);
    }
    this.identity = {
      device: stats.dev,
      inode: stats.ino,
      size: Number(stats.size),
      modifiedNs: stats.mtimeNs,
      changedNs: stats.ctimeNs,
    };
  }

  get size(): number {
    return this.identity.size;
  }

  read(offset: number, size: number, what: string): Buffer {
    checkRange(offset, size, this.size, what);
    const buffer = Buffer.allocUnsafeSlow(size);
    for (let done = 0; done < size; ) {
      const count = readSync(this.#fd, buffer, done, size - done, offset + done);
      if (count === 0)
        throw new Error(`Cannot read ${what} at ${hex(offset + done)}: ${this.path} has become shorter`);
      done += count;
    }
    return buffer;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function open(path: string): number {
  try {
    // A FIFO would make a blocking open wait for its writer.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new UserError(`Cannot open ${path}: ${reason(error)}`);
  }
}

function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  return messageOf(error);
}

export function sameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.device === b.device && a.inode === b.inode && a.size === b.size && a.modifiedNs === b.modifiedNs;
}
