import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createServer2, type Http2Server } from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { certificate, certificateKey } from './built.ts';
import type { Span } from './otlp.ts';

/** A request as a peer that nobody traces has received it. */
export interface Received {
  readonly path: string;
  /** Every value of the header. */
  readonly traceparents: readonly string[];
  readonly traceStates: readonly string[];
  /** The body is the text that `fixtures/clients` sends, of the length that was announced. */
  readonly bodyIsWhole: boolean;
}

/** What a called service gets, written down; answers 200. */
export class Receiver implements Disposable {
  readonly received: Received[] = [];
  readonly base: string;
  readonly #server: Server | Http2Server;

  private constructor(server: Server | Http2Server, scheme: string, add: (received: Received[]) => void) {
    this.#server = server;
    this.base = `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
    add(this.received);
  }

  /** `tls`: of HTTP/1.1. */
  static async start(options: { readonly h2?: boolean; readonly tls?: boolean } = {}): Promise<Receiver> {
    let received: Received[] = [];
    const note = (one: Received) => received.push(one);
    const server = options.h2 ? http2Server(note) : http1Server(note, options.tls);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Receiver(server, options.tls ? 'https' : 'http', (all) => {
      received = all;
    });
  }

  [Symbol.dispose](): void {
    this.#server.close();
  }
}

function http1Server(note: (received: Received) => void, tls = false): Server {
  const answer: RequestListener = (request, response) => {
    const check = bodyCheck();
    request.on('data', check.add);
    request.on('end', () => {
      note({
        path: request.url ?? '',
        traceparents: valuesOf(request, 'traceparent'),
        traceStates: valuesOf(request, 'tracestate'),
        bodyIsWhole: check.isWhole(Number(request.headers['content-length'] ?? 0)),
      });
      response.end('ok');
    });
  };
  const keys = () => ({ cert: readFileSync(certificate), key: readFileSync(certificateKey) });
  const server = tls ? createTlsServer(keys(), answer) : createServer(answer);
  server.keepAliveTimeout = 60_000;
  return server;
}

function valuesOf({ rawHeaders }: IncomingMessage, name: string): string[] {
  return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === name);
}

function http2Server(note: (received: Received) => void): Http2Server {
  const server = createServer2();
  server.on('stream', (stream, headers) => {
    const check = bodyCheck();
    stream.on('data', check.add);
    stream.on('error', () => {});
    stream.on('end', () => {
      note({
        path: headers[':path'] ?? '',
        traceparents: listOf(headers.traceparent),
        traceStates: listOf(headers.tracestate),
        bodyIsWhole: check.isWhole(Number(headers['content-length'] ?? 0)),
      });
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });
  });
  return server;
}

const listOf = (value: string | string[] | undefined): readonly string[] =>
  value === undefined ? [] : [value].flat();

/** `body` of fixtures/clients/shapes. */
const LINE = 'GET /evil HTTP/1.1\r\nhost: evil\r\n\r\n';
const PATTERN = Buffer.from(LINE.repeat(Math.ceil((1 << 17) / LINE.length) + 1));

function bodyCheck() {
  let size = 0;
  let same = true;
  return {
    add: (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += 1 << 16) {
        const piece = chunk.subarray(at, at + (1 << 16));
        const from = (size + at) % LINE.length;
        same &&= piece.equals(PATTERN.subarray(from, from + piece.length));
      }
      size += chunk.length;
    },
    isWhole: (length: number) => same && size === length,
  };
}

/** What is wrong with the context that came with requests: each is that of its own CLIENT span. */
export function carriedProblems(spans: readonly Span[], received: readonly Received[]): string[] {
  const problems: string[] = [];
  const clients = new Map(spans.filter(({ kind }) => kind === 3).map((span) => [idOf(span), span]));
  const total = clients.size;
  for (const { path, traceparents, bodyIsWhole } of received) {
    const [value = '', ...more] = traceparents;
    const id = /^00-([0-9a-f]{32}-[0-9a-f]{16})-01$/.exec(value)?.[1] ?? '';
    const span = clients.get(id);
    clients.delete(id);
    if (!bodyIsWhole) problems.push(`body: that of ${path} has changed`);
    if (more.length > 0) problems.push(`header: ${path} came with ${traceparents.length} of them`);
    if (!span) problems.push(`header: no CLIENT span, or one twice, for "${value}" of ${path}`);
    else if (!String(span.attributes['url.full']).endsWith(path))
      problems.push(`header: that of ${path} is of ${span.attributes['url.full']}`);
  }
  if (total !== received.length) problems.push(`spans: ${total} CLIENT spans, ${received.length} requests`);
  return problems;
}

const idOf = ({ traceId, spanId }: Span) => `${traceId}-${spanId}`;
