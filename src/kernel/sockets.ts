import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { AttributeBlock, SYS, syscall } from './libc.ts';

/** A TCP connection of another process, by a descriptor of our own that lasts as long as the visit. */
export interface VisitedSocket {
  readonly fd: number;
  /** SO_COOKIE: never used twice while the system runs. */
  readonly cookie: bigint;
}

interface TcpSocket {
  readonly listening: boolean;
  readonly localPort: number;
  readonly connected: boolean;
}

const SOL_SOCKET = 1n;
const SO_ACCEPTCONN = 30n;
const SO_PROTOCOL = 38n;
const SO_COOKIE = 57n;
const IPPROTO_TCP = 6;

/**
 * Visits the connections that a process has begun: those whose port it doesn't listen on. Descriptors come and go
 * meanwhile, and a process that ends or may not be looked at has none.
 */
export function visitConnections(pid: number, visit: (socket: VisitedSocket) => void): void {
  const pidFd = syscall(SYS.pidfd_open, BigInt(pid), 0n);
  if (pidFd < 0) return;
  try {
    const ports = new Set<number>();
    const candidates: number[] = [];
    for (const number of socketNumbers(pid)) {
      borrow(pidFd, number, (_, socket) => {
        if (socket.listening) ports.add(socket.localPort);
        else if (socket.connected) candidates.push(number);
      });
    }
    for (const number of candidates) {
      borrow(pidFd, number, (fd, { connected, localPort }) => {
        if (!connected || ports.has(localPort)) return;
        const cookie = readOption(fd, SO_COOKIE, 8)?.readBigUInt64LE(0);
        if (cookie !== undefined) visit({ fd, cookie });
      });
    }
  } finally {
    closeSync(pidFd);
  }
}

/** One at a time: a process may have more sockets than we may have descriptors. Nothing, when it is no TCP socket. */
function borrow(pidFd: number, number: number, use: (fd: number, socket: TcpSocket) => void): void {
  const fd = syscall(SYS.pidfd_getfd, BigInt(pidFd), BigInt(number), 0n);
  if (fd < 0) return;
  try {
    const socket = describe(fd);
    if (socket) use(fd, socket);
  } finally {
    closeSync(fd);
  }
}

function socketNumbers(pid: number): number[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder)
      .filter((name) => isSocket(`${folder}/${name}`))
      .map(Number);
  } catch {
    return [];
  }
}

function isSocket(link: string): boolean {
  try {
    return readlinkSync(link).startsWith('socket:');
  } catch {
    return false; // closed meanwhile
  }
}

function describe(fd: number): TcpSocket | undefined {
  if (readOption(fd, SO_PROTOCOL, 4)?.readInt32LE(0) !== IPPROTO_TCP) return undefined;
  const listening = readOption(fd, SO_ACCEPTCONN, 4)?.readInt32LE(0) === 1;
  const localPort = readPort(SYS.getsockname, fd);
  if (localPort === undefined) return undefined;
  return { listening, localPort, connected: readPort(SYS.getpeername, fd) !== undefined };
}

function readOption(fd: number, option: bigint, size: number): Buffer | undefined {
  const block = new AttributeBlock(24).u32(16, size);
  const result = block.pass((address) =>
    syscall(SYS.getsockopt, BigInt(fd), SOL_SOCKET, option, address, address + 16n),
  );
  return result < 0 ? undefined : block.bytes;
}

const SOCKADDR_SIZE = 28; // sockaddr_in6; the port of either family is at 2, in network order

function readPort(call: number, fd: number): number | undefined {
  const block = new AttributeBlock(48).u32(40, SOCKADDR_SIZE);
  const result = block.pass((address) => syscall(call, BigInt(fd), address, address + 40n));
  return result < 0 ? undefined : block.bytes.readUInt16BE(2);
}
