import { SYS, syscall } from './libc.ts';

/** include/uapi/linux/fcntl.h, asm-generic/fcntl.h. */
const F_SETLEASE = 1024n;
const F_GETLEASE = 1025n;
const F_RDLCK = 0;
const F_UNLCK = 2;

/** Descriptors with a lease, and who is told when someone wants to write to the file. */
const holders = new Map<number, () => void>();
let listening = false;

/**
 * Takes a read lease on a file that is open for reading, fcntl(2): whoever opens it for writing, or truncates it, waits
 * until the lease is given back, at most /proc/sys/fs/lease-break-time (45 s), and `onWriter` is called. False where
 * that can't be had: it is open for writing, the file system has no leases, CAP_LEASE is missing.
 */
export function takeReadLease(fd: number, onWriter: () => void): boolean {
  if (!listening) process.on('SIGIO', tellHolders); // for good: the signal ends a process that does not listen
  listening = true;
  if (syscall(SYS.fcntl, BigInt(fd), F_SETLEASE, BigInt(F_RDLCK)) !== 0) return false;
  holders.set(fd, onWriter);
  return true;
}

export function giveLeaseBack(fd: number): void {
  if (holders.delete(fd)) syscall(SYS.fcntl, BigInt(fd), F_SETLEASE, BigInt(F_UNLCK));
}

/** The signal does not say which. */
function tellHolders(): void {
  for (const [fd, onWriter] of [...holders])
    if (syscall(SYS.fcntl, BigInt(fd), F_GETLEASE) !== F_RDLCK) onWriter();
}
