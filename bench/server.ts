import { join } from 'node:path';
import { Child } from './child.ts';
import { type Places, SERVER_CPU } from './places.ts';

/** What bench-server is: axum or hyper alone, or axum with an SDK inside. */
export type Variant = 'bare' | 'hyper' | 'by-hand' | 'tower' | 'axum-tracing';

/** A target on the CPU of the servers, one worker thread. */
export class Server implements Disposable {
  readonly child: Child;
  readonly port: number;
  readonly tls: boolean;

  private constructor(child: Child, port: number, tls: boolean) {
    this.child = child;
    this.port = port;
    this.tls = tls;
  }

  static async bench(places: Places, variant: Variant): Promise<Server> {
    const endpoint = `http://127.0.0.1:${places.sinkPort}/v1/traces`;
    return await Server.start(join(places.programs, 'bench-server'), [variant, endpoint], false);
  }

  static async fixture(places: Places, name: string, tls = false): Promise<Server> {
    const args = ['--workers', '1', ...(tls ? ['--tls'] : [])];
    return await Server.start(join(places.fixtures, name), args, tls);
  }

  static async start(executable: string, args: readonly string[], tls: boolean): Promise<Server> {
    const child = new Child(executable, args, { cpu: SERVER_CPU });
    try {
      const [, port] = await child.waitFor(/^listening (\d+) /);
      return new Server(child, Number(port), tls);
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
  }
}
