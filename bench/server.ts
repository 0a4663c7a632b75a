import { join } from 'node:path';
import { Child } from './child.ts';
import { OTHER_CPU, type Places, SERVER_CPU } from './places.ts';

/** What bench-server is: axum or hyper alone, or axum with an SDK inside. */
export type Variant = 'bare' | 'hyper' | 'by-hand' | 'tower' | 'axum-tracing';

/** What bench-caller is: bare or with an SDK inside. */
export type CallerVariant = 'bare' | 'by-hand' | 'tower';

/** What bench-grpc-server and bench-grpc-caller are. */
export type RpcVariant = 'bare' | 'by-hand';

interface Place {
  readonly cpu: number;
  readonly tls?: boolean;
  readonly downstream?: Server;
  readonly sdk?: boolean;
  readonly rpc?: 'server' | 'caller';
  /** Of a gRPC caller: whom it calls. */
  readonly server?: Server;
}

/** A target on the CPU of the servers, one worker thread. */
export class Server implements Disposable {
  readonly child: Child;
  /** Of a gRPC caller: that of its server. */
  readonly port: number;
  readonly tls: boolean;
  /** Whom it calls once a request. */
  readonly downstream: Server | undefined;
  /** It makes spans of its calls itself. */
  readonly sdk: boolean;
  /** Its load are gRPC calls: it answers them, or makes them itself. */
  readonly rpc: 'server' | 'caller' | undefined;
  readonly #companion: Server | undefined;

  private constructor(child: Child, port: number, place: Place) {
    const { tls = false, downstream, sdk = false, rpc, server } = place;
    this.child = child;
    this.port = port;
    this.tls = tls;
    this.downstream = downstream;
    this.sdk = sdk;
    this.rpc = rpc;
    this.#companion = downstream ?? server;
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

  static async rpcServer(places: Places, variant: RpcVariant, cpu = SERVER_CPU): Promise<Server> {
    const args = [variant, tracesUrl(places)];
    return await Server.start(join(places.programs, 'bench-grpc-server'), args, { cpu, rpc: 'server' });
  }

  /** With a server of its own to call, on the other CPU. */
  static async rpcCaller(places: Places, variant: RpcVariant): Promise<Server> {
    const server = await Server.rpcServer(places, 'bare', OTHER_CPU);
    try {
      const args = [variant, tracesUrl(places), `http://127.0.0.1:${server.port}`];
      const place: Place = { cpu: SERVER_CPU, rpc: 'caller', server };
      return await Server.start(join(places.programs, 'bench-grpc-caller'), args, place);
    } catch (error) {
      server[Symbol.dispose]();
      throw error;
    }
  }

  static async fixture(places: Places, name: string, tls = false): Promise<Server> {
    const args = ['--workers', '1', ...(tls ? ['--tls'] : [])];
    return await Server.start(join(places.fixtures, name), args, { cpu: SERVER_CPU, tls });
  }

  static async start(executable: string, args: readonly string[], place: Place): Promise<Server> {
    const listening = /^(?:listening|connected) (\d+) /;
    const [child, [, port]] = await Child.started(listening, executable, args, { cpu: place.cpu });
    return new Server(child, Number(port), place);
  }

  get pid(): number {
    return this.child.pid;
  }

  [Symbol.dispose](): void {
    this.child[Symbol.dispose]();
    this.#companion?.[Symbol.dispose]();
  }
}

const tracesUrl = (places: Places) => `http://127.0.0.1:${places.sinkPort}/v1/traces`;
