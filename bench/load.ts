import { join } from 'node:path';
import { Child } from './child.ts';
import type { Places } from './places.ts';
import type { Server } from './server.ts';

export interface LoadSize {
  readonly requests: number;
  readonly warmUp: number;
  /** Connections, each with one request at a time; of gRPC: calls at a time on one connection. */
  readonly connections: number;
}

/** One load on one server: a warm-up, then the requests that are measured. Disposing ends what is left of it. */
export interface Load extends Disposable {
  warmUp(): Promise<void>;
  /** Makes the requests; how long they took, s. */
  run(): Promise<number>;
  /** Closes its connections. */
  end(): Promise<void>;
}

export function startLoad(places: Places, server: Server, size: LoadSize): Load {
  return server.rpc ? new RpcLoad(places, server, size) : new HttpLoad(places, server, size);
}

const PATH = '/users/42';
/** Each request has its own number, which its call repeats. */
const NUMBERED_PATH = '/users/#';

class HttpLoad implements Load {
  readonly #child: Child;

  constructor(places: Places, server: Server, size: LoadSize) {
    const path = server.downstream ? NUMBERED_PATH : PATH;
    const numbers = [size.requests, size.warmUp, size.connections].map(String);
    const args = [`127.0.0.1:${server.port}`, ...numbers, path, ...(server.tls ? ['tls'] : [])];
    this.#child = new Child(join(places.programs, 'bench-load'), args);
  }

  async warmUp(): Promise<void> {
    await this.#child.waitFor(/^warm\n/);
  }

  async run(): Promise<number> {
    this.#child.tell();
    const [, seconds] = await this.#child.waitFor(/^done ([\d.]+)\n/m);
    return Number(seconds);
  }

  async end(): Promise<void> {
    this.#child.tell();
    await this.#child.end();
  }

  [Symbol.dispose](): void {
    this.#child[Symbol.dispose]();
  }
}

/** Rounds of calls that a caller has made so far: it numbers what it prints. */
const rounds = new WeakMap<Child, number>();

class RpcLoad implements Load {
  readonly #caller: Child;
  readonly #round: number;
  /** The caller is not the target. */
  readonly #own: boolean;

  constructor(places: Places, server: Server, size: LoadSize) {
    this.#own = server.rpc === 'server';
    const url = `http://127.0.0.1:${server.port}`;
    this.#caller = this.#own
      ? new Child(join(places.programs, 'bench-grpc-caller'), ['bare', '', url])
      : server.child;
    this.#round = (rounds.get(this.#caller) ?? 0) + 1;
    rounds.set(this.#caller, this.#round);
    this.#caller.tell(`${size.requests} ${size.warmUp} ${size.connections}`);
  }

  async warmUp(): Promise<void> {
    await this.#caller.waitFor(new RegExp(`^warm ${this.#round}\\n`, 'm'));
  }

  async run(): Promise<number> {
    this.#caller.tell();
    const [, seconds] = await this.#caller.waitFor(new RegExp(`^done ${this.#round} ([\\d.]+)\\n`, 'm'));
    return Number(seconds);
  }

  async end(): Promise<void> {
    if (this.#own) await this.#caller.stop();
  }

  [Symbol.dispose](): void {
    if (this.#own) this.#caller[Symbol.dispose]();
  }
}
