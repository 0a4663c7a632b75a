import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { certificate, certificateKey, collectorProgram } from './built.ts';
import { Child } from './child.ts';
import { parseSpans, type Span } from './otlp.ts';
import type { Scratch } from './scratch.ts';

export interface CollectorOptions {
  /** `mutual` asks for a client certificate too: the committed test certificate is its own authority. */
  readonly tls?: 'none' | 'server' | 'mutual';
}

/** The real OpenTelemetry Collector on two free ports, writing to a file of the scratch folder. */
export class Collector implements Disposable {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly #scheme: string;
  readonly #configFile: string;
  readonly #spansFile: string;
  #child: Child | undefined;

  private constructor(scratch: Scratch, options: CollectorOptions, grpcPort: number, httpPort: number) {
    this.grpcPort = grpcPort;
    this.httpPort = httpPort;
    this.#scheme = (options.tls ?? 'none') === 'none' ? 'http' : 'https';
    this.#configFile = scratch.file('collector.json');
    this.#spansFile = scratch.file('spans.jsonl');
    const config = collectorConfig(options, grpcPort, httpPort, this.#spansFile);
    writeFileSync(this.#configFile, JSON.stringify(config));
  }

  static async start(scratch: Scratch, options: CollectorOptions = {}): Promise<Collector> {
    const collector = new Collector(scratch, options, await freePort(), await freePort());
    await collector.resume();
    return collector;
  }

  get httpEndpoint(): string {
    return `${this.#scheme}://127.0.0.1:${this.httpPort}`;
  }

  get grpcEndpoint(): string {
    return `${this.#scheme}://127.0.0.1:${this.grpcPort}`;
  }

  /** Starts it again on the same ports; spans are added to what was received before. */
  async resume(): Promise<void> {
    this.#child = new Child(collectorProgram(), ['--config', this.#configFile]);
    await this.#child.waitFor('stderr', /Everything is ready/);
  }

  async stop(): Promise<void> {
    const ending = await this.#child?.stop();
    if (ending && ending.code !== 0) throw new Error(`The Collector ended with ${ending.code}`);
  }

  /** Stops the Collector, which completes its file, and returns all spans received. */
  async finish(): Promise<Span[]> {
    await this.stop();
    return existsSync(this.#spansFile) ? parseSpans(readFileSync(this.#spansFile, 'utf8')) : [];
  }

  [Symbol.dispose](): void {
    this.#child?.[Symbol.dispose]();
  }
}

function collectorConfig(options: CollectorOptions, grpcPort: number, httpPort: number, spansFile: string) {
  const tls = {
    cert_file: certificate,
    key_file: certificateKey,
    ...(options.tls === 'mutual' ? { client_ca_file: certificate } : {}),
  };
  const secured = (options.tls ?? 'none') === 'none' ? {} : { tls };
  const protocol = (port: number) => ({ endpoint: `127.0.0.1:${port}`, ...secured });
  return {
    receivers: { otlp: { protocols: { grpc: protocol(grpcPort), http: protocol(httpPort) } } },
    exporters: {
      debug: { verbosity: 'basic' },
      file: { path: spansFile, format: 'json', append: true },
    },
    service: {
      telemetry: { metrics: { level: 'none' } },
      pipelines: { traces: { receivers: ['otlp'], exporters: ['debug', 'file'] } },
    },
  };
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
