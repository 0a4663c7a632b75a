import { join } from 'node:path';
import { Child } from './child.ts';
import { OTHER_CPU, type Places, SERVER_CPU } from './places.ts';

/** What bench-server is: axum or hyper alone, or axum with an SDK inside. */
export type Variant = 'bare' | 'hyper' | 'by-hand' | 'tower' | 'axum-tracing';

/** What bench-caller is: bare or with an SDK inside. */
export type CallerVariant = 'bare' | 'by-hand' | 'tower';

interface Place {
  readonly cpu: number;
  readonly tls?: boolean;
  readonly downstream?: Server;
  readonly sdk?: boolean;
}

/** A target on the CPU of the servers, one worker thread. */
export class Server implements Disposable {
  readonly child: Child;
  readonly port: number;
  readonly tls: boolean;
  /** Whom it calls once a request. */
  readonly downstream: Server | undefined;
  /** It makes spans of its calls itself. */
  readonly sdk: boolean;

  private constructor(child: Child, port: number, { tls = false, downstream, sdk = false }: Place) {
    this.child = child;
    this.port = port;
    this.tls = tls;
    this.downstream = downstream;
    this.sdk = sdk;
  }

  static async bench(places: Places, variant: Variant): Promise<Server> {
    const args = [variant, tracesUrl(places)];
    return await Server.start(join(places.programs, 'bench-server'), args, { cpu: SERVER_CPU });
  }

  /** With a server of its own to call, on the other CPU. */
  static async caller(places: Places, variant: CallerVariant): Promise<Server> {
    const args = ['hyper', tracesUrl(places)];
    const downstream = await Server.start(join(places.programs, 'bench-server'), args, { cpu: OTHER_CPU });
    try {
      const url = `http://127.0.0.1:${downstream.port}`;
      const own = [variant, tracesUrl(places), url];
      const place = { cpu: SERVER_CPU, downstream, sdk: variant !== 'bare' };
      return await Server.start(join(places.programs, 'bench-caller'), own, place);
    } catch (error) {
      downstream[Symbol.dispose]();
      throw error;
    }
  }

  static async fixture(places: Places, name: string, tls = false): Promise<Server> {
    const args = ['--workers', '1', ...(tls ? ['--tls'] : [])];
    return await Server.start(join(places.fixtures, name), args, { cpu: SERVER_CPU, tls });
  }

  static async start(executable: string, args: readonly string[], place: Place): Promise<Server> {
    const child = new Child(executable, args, { cpu: place.cpu });
    try {
      const [, port] = await child.waitFor(/^listening (\d+) /);
      return new Server(child, Number(port), place);
    } catch (error) {
      child[Symbol.dispose]();
      throw error;
    }
  }

  get pid(): number {
    return this.child.pid;
  }

  [Symbol.dispose](): void {
    this.child[Symbol.dispose]();
    this.downstream?.[Symbol.dispose]();
  }
}

const tracesUrl = (places: Places) => `http://127.0.0.1:${places.sinkPort}/v1/traces`;
