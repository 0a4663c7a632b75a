import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Target } from './target.ts';

const READ_TIMEOUT_MS = 10_000;

/** A connection on which a test writes exactly the bytes it wants, in the pieces it wants. */
export class RawClient implements Disposable {
  readonly #socket: Socket;
  /** Below TLS; without TLS the same. */
  readonly #tcp: Socket;
  #received = '';
  #ended = false;
  #notify: () => void = () => {};

  private constructor(socket: Socket, tcp: Socket) {
    this.#socket = socket;
    this.#tcp = tcp;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => {
      this.#received += bytes.toString('latin1');
      this.#notify();
    });
    const end = () => {
      this.#ended = true;
      this.#notify();
    };
    socket.on('end', end).on('close', end).on('error', end);
  }

  static open(target: Target): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const done = (): void => resolve(new RawClient(socket, tcp));
      const { tls } = target.options;
      const tcp = connectTcp({ host: target.host, port: target.port }, tls ? () => {} : done);
      const secured = { socket: tcp, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] };
      const socket: Socket = tls ? connectTls(secured, done) : tcp;
      socket.once('error', reject);
    });
  }

  /** Each piece is a write of its own; returns when the kernel has the last one. */
  async write(...pieces: readonly string[]): Promise<void> {
    for (const piece of pieces) {
      await new Promise<void>((resolve) => {
        this.#socket.write(piece, 'latin1', () => resolve());
      });
    }
  }

  /** The status of the next response head; what is before its end is forgotten. */
  async status(): Promise<number> {
    const head = await this.#take(/HTTP\/1\.[01] (\d{3})[\s\S]*?\r\n\r\n/);
    return Number(head[1]);
  }

  /** A response with Content-Length, head and body. */
  async answer(): Promise<number> {
    const head = await this.#take(/HTTP\/1\.[01] (\d{3})[\s\S]*?\r\n\r\n/);
    const length = Number(/content-length: *(\d+)/i.exec(head[0])?.[1] ?? 0);
    await this.#until(() => this.#received.length >= length);
    this.#received = this.#received.slice(length);
    return Number(head[1]);
  }

  async untilClosed(): Promise<void> {
    await this.#until(() => this.#ended);
  }

  /** FIN after what was written. */
  end(): void {
    this.#socket.end();
  }

  /** RST. */
  reset(): void {
    this.#tcp.resetAndDestroy();
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #take(pattern: RegExp): Promise<RegExpExecArray> {
    let match: RegExpExecArray | null = null;
    await this.#until(() => {
      match = pattern.exec(this.#received);
      if (!match && this.#ended) throw new Error(`The server closed after ${JSON.stringify(this.#received)}`);
      return match !== null;
    });
    const found = match as unknown as RegExpExecArray;
    this.#received = this.#received.slice(found.index + found[0].length);
    return found;
  }

  async #until(condition: () => boolean): Promise<void> {
    const deadline = Date.now() + READ_TIMEOUT_MS;
    while (!condition()) {
      const left = deadline - Date.now();
      if (left <= 0)
        throw new Error(`No answer within ${READ_TIMEOUT_MS} ms: ${JSON.stringify(this.#received)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#notify = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

export const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
