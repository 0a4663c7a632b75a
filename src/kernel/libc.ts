import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';

/** A failed system call: `errno` decides what to tell the user. */
export class SystemCallError extends Error {
  override readonly name: string = 'SystemCallError';
  readonly errno: number;

  constructor(action: string, errno: number) {
    super(`Cannot ${action}: ${errnoName(errno)}`);
    this.errno = errno;
  }
}

export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EBADF: 9,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EINVAL: 22,
  ENOSPC: 28,
  EOPNOTSUPP: 95,
  ENOTSUPP: 524,
};

/** `EPERM (1)`; codes above the user-space range are the kernel's own (524 = ENOTSUPP). */
export function errnoName(errno: number): string {
  if (errno === ERRNO.ENOTSUPP) return 'ENOTSUPP (524)';
  return `${getSystemErrorName(-errno)} (${errno})`;
}

const libc = koffi.load(null); // the process's own symbols: glibc and musl alike
const rawSyscall = libc.func('syscall', 'int64', Array(7).fill('int64'));
const rawMmap = libc.func('mmap', 'int64', ['int64', 'uint64', 'int', 'int', 'int', 'int64']);

/** Returns the call's value or `-errno`. */
export function syscall(number: number, a = 0n, b = 0n, c = 0n, d = 0n, e = 0n): number {
  const result = Number(rawSyscall(number, a, b, c, d, e, 0n));
  return result < 0 ? -koffi.errno() : result;
}

/** The same on a thread of its own: the call's value, or -1 for any error. */
export function syscallAside(number: number, a = 0n, b = 0n, c = 0n): Promise<number> {
  return new Promise((resolve, reject) => {
    rawSyscall.async(number, a, b, c, 0n, 0n, 0n, (error: unknown, result: number | bigint) =>
      error ? reject(error) : resolve(Number(result)),
    );
  });
}

/** x86-64. */
export const SYS = {
  ioctl: 16,
  getsockname: 51,
  getpeername: 52,
  getsockopt: 55,
  fcntl: 72,
  perf_event_open: 298,
  bpf: 321,
  pidfd_open: 434,
  pidfd_getfd: 438,
} as const;

export const addressOf = (memory: Uint8Array): bigint => koffi.address(memory);

/**
 * A struct handed to the kernel. Buffers it points to stay reachable as long as the block is,
 * because the collector doesn't see addresses.
 */
export class AttributeBlock {
  readonly bytes: Buffer;
  private readonly pointees: Uint8Array[] = [];

  constructor(size: number) {
    this.bytes = Buffer.alloc(size);
  }

  u32(offset: number, value: number): this {
    this.bytes.writeUInt32LE(value >>> 0, offset);
    return this;
  }

  u64(offset: number, value: bigint): this {
    this.bytes.writeBigUInt64LE(value, offset);
    return this;
  }

  pointer(offset: number, memory: Uint8Array): this {
    this.pointees.push(memory);
    return this.u64(offset, memory.length === 0 ? 0n : addressOf(memory));
  }

  /** Runs `call` with the block's address; everything it points to outlives the call. */
  pass(call: (address: bigint) => number): number {
    const result = call(addressOf(this.bytes));
    this.#touch();
    return result;
  }

  /** The same for a call on another thread. */
  async passAside(call: (address: bigint) => Promise<number>): Promise<number> {
    const result = await call(addressOf(this.bytes));
    this.#touch();
    return result;
  }

  #touch(): void {
    this.pointees.length = this.pointees.length | 0;
  }
}

export const cString = (text: string): Buffer => Buffer.from(`${text}\0`);

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE_FIXED_ANONYMOUS_NORESERVE = 0x02 | 0x10 | 0x20 | 0x4000;

/** Shared file mapping seen as an ArrayBuffer. `retire` must be called before the last view may be touched. */
export interface Mapping {
  readonly memory: ArrayBuffer;
  /**
   * Gives the file's pages back. Views can't be detached, so the address range is replaced by empty private
   * memory: a late read finds zeros instead of a segmentation fault.
   */
  retire(): void;
}

export function mapFile(fd: number, offset: number, size: number, writable: boolean): Mapping {
  const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  const address = rawMmap(0n, size, protection, MAP_SHARED, fd, offset);
  if (Number(address) === -1)
    throw new SystemCallError(`map ${size} bytes of descriptor ${fd}`, koffi.errno());
  const retire = () => {
    rawMmap(address, size, PROT_READ | PROT_WRITE, MAP_PRIVATE_FIXED_ANONYMOUS_NORESERVE, -1, 0n);
  };
  return { memory: koffi.view(BigInt(address), size), retire };
}

const M_TRIM_THRESHOLD = -1;
const M_ARENA_MAX = -8;
const KEPT_FREE = 256 * 1024;

/**
 * Has glibc's allocator keep little of what is freed: threads to come share the arenas that there are, or two, each with
 * up to 256 KiB free at its end. By itself it keeps up to 64 MiB there, which malloc_trim leaves alone in all arenas but the first:
 * 30 MB after analysis. musl needs and has none of it.
 */
export function limitAllocator(): void {
  callAllocator((libc) => {
    const mallopt = libc.func('int mallopt(int, int)');
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_TRIM_THRESHOLD, KEPT_FREE);
  });
}

/** Gives back what is free between pieces in use, too. */
export function trimAllocator(): void {
  callAllocator((libc) => libc.func('int malloc_trim(size_t)')(0));
}

/** For what only glibc has. */
function callAllocator(call: (library: typeof libc) => void): void {
  try {
    call(libc);
  } catch {
    return;
  }
}
