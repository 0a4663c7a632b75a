import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import {
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

const propagator = new W3CTraceContextPropagator();

/** A service with the OpenTelemetry SDK in it: it continues what it gets and sends on what it begins. */
export class SdkService implements Disposable {
  readonly base: string;
  readonly #server: Server;
  readonly #spans = new InMemorySpanExporter();
  readonly #tracer = new TracerProvider({
    spanProcessors: [new SimpleSpanProcessor({ exporter: this.#spans })],
  }).getTracer('peer');

  private constructor(server: Server) {
    this.#server = server;
    this.base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => {
      const parent = propagator.extract(ROOT_CONTEXT, request.headers, {
        get: (headers, key) => headers[key],
        keys: (headers) => Object.keys(headers),
      });
      const span = this.#tracer.startSpan(request.url ?? '', { kind: SpanKind.SERVER }, parent);
      response.end('ok', () => span.end());
    });
  }

  static async start(): Promise<SdkService> {
    const server = createServer();
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new SdkService(server);
  }

  /** Its spans so far. */
  get spans(): readonly ReadableSpan[] {
    return this.#spans.getFinishedSpans();
  }

  /** A call under a CLIENT span of its own. */
  async call(url: string): Promise<void> {
    const span = this.#tracer.startSpan(url, { kind: SpanKind.CLIENT }, ROOT_CONTEXT);
    const headers: Record<string, string> = {};
    propagator.inject(trace.setSpan(ROOT_CONTEXT, span), headers, {
      set: (carrier, key, value) => {
        carrier[key] = value;
      },
    });
    const response = await fetch(url, { headers });
    await response.text();
    span.end();
  }

  [Symbol.dispose](): void {
    this.#server.close();
  }
}
