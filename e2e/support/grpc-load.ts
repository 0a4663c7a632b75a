import { fixture } from './built.ts';
import { Child } from './child.ts';
import type { Program } from './target.ts';

/** A line of a gRPC program's `--drive`: see fixtures/README.md. */
export interface GrpcRecord {
  readonly id: string;
  /** `method.deed` as it was asked for. */
  readonly kind: string;
  readonly method: string;
  /** What the server was asked to do. */
  readonly deed: string;
  /** Missing when the caller has dropped the call. */
  readonly code: number | null;
  readonly message: string;
  readonly answers: number;
  /** What the server says of its own calls: number, method, deed, then code or `cancelled`. */
  readonly calls: readonly string[];
  /** Unix time in nanoseconds. */
  readonly startNs: string;
  readonly endNs: string;
}

export interface GrpcLoad {
  readonly kinds: readonly string[];
  readonly count: number;
  readonly concurrency?: number;
  readonly prefix?: string;
  readonly durationMs?: number;
  readonly tls?: boolean;
}

/** A program that can make the load: grpc-go's, too. */
export type GrpcPeer = Program | 'grpcgo';

/** Its calls are those of the same tonic; nobody traces it. */
export function startGrpcLoad(program: GrpcPeer, port: number, load: GrpcLoad): Child {
  return new Child(fixture(program), [
    ...['--drive', '--target', `127.0.0.1:${port}`, '--kinds', load.kinds.join(',')],
    ...['--count', `${load.count}`, '--concurrency', `${load.concurrency ?? 128}`],
    ...['--prefix', load.prefix ?? 'r', ...(load.tls ? ['--tls'] : [])],
    ...(load.durationMs === undefined ? [] : ['--duration-ms', `${load.durationMs}`]),
  ]);
}

export async function finishGrpcLoad(load: Child): Promise<readonly GrpcRecord[]> {
  const { code } = await load.ended;
  if (code !== 0) throw new Error(`The load generator ended with ${code}: ${load.stderr}`);
  const lines = load.stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as GrpcRecord);
}
