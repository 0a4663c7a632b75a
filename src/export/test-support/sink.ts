import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { createLog, type Log } from '../../base/log.ts';

export interface ReceivedRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Decompressed. */
  readonly body: Buffer;
}

export type Answer = (response: ServerResponse, requestNumber: number) => void;

export interface Sink extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly requests: ReceivedRequest[];
}

/** A collector that keeps what it gets. `answer` sees complete requests, numbered from 0. */
export async function startSink(answer: Answer = (response) => response.end(), port = 0): Promise<Sink> {
  const requests: ReceivedRequest[] = [];
  const server = createServer((request, response) => {
    collect(request, requests, () => answer(response, requests.length - 1));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    requests,
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export function collect(request: IncomingMessage, requests: ReceivedRequest[], done: () => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const sent = Buffer.concat(chunks);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    requests.push({ path: request.url ?? '', headers: request.headers, body });
    done();
  });
}

export interface RecordedLog extends Log {
  readonly lines: string[];
}

export function recordLog(): RecordedLog {
  const lines: string[] = [];
  return { ...createLog('info', (line) => lines.push(line)), lines };
}

export async function until(condition: () => boolean, milliseconds = 20_000): Promise<void> {
  const deadline = Date.now() + milliseconds;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Not within ${milliseconds} ms: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
