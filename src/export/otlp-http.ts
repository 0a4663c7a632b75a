import type { Agent } from 'node:http';
import {
  createOtlpHttpExportDelegate,
  httpAgentFactoryFromOptions,
} from '@opentelemetry/otlp-exporter-base/node-http';
import type { EncodedRequest } from './encode-request.ts';
import { decodeJsonResponse, decodeResponse } from './otlp-response.ts';
import { exportOnce, passThrough, type Sender } from './sender.ts';
import type { OtlpSettings } from './settings.ts';
import { readTlsFiles } from './tls.ts';

/** OTLP over HTTP: the SDK's transport, its retries and its time-outs. */
export function createHttpSender(settings: OtlpSettings, timeoutMs: number, userAgent: string): Sender {
  const json = settings.protocol === 'http/json';
  const { ca, key, cert } = readTlsFiles(settings);
  const createAgent = httpAgentFactoryFromOptions({
    keepAlive: true,
    ...(ca && { ca }),
    ...(key && { key }),
    ...(cert && { cert }),
  });
  const headers = {
    ...settings.headers,
    'content-type': json ? 'application/json' : 'application/x-protobuf',
  };
  let agent: Agent | undefined;
  let rejected = 0;
  const serializer = passThrough(json ? decodeJsonResponse : decodeResponse, (spans) => {
    rejected = spans;
  });
  const delegate = createOtlpHttpExportDelegate(
    {
      url: settings.endpoint,
      headers: async () => ({ ...headers }),
      compression: settings.compression,
      timeoutMillis: timeoutMs,
      concurrencyLimit: 2,
      userAgent,
      agentFactory: async (protocol) => {
        agent = await createAgent(protocol);
        return agent;
      },
    },
    serializer,
    json ? 'otlp_http_json_span_exporter' : 'otlp_http_span_exporter',
    { name: 'span', countItems: (request: EncodedRequest) => request.spanCount },
    undefined,
  );
  return {
    target: settings.endpoint,
    send: async (request) => {
      rejected = 0;
      await exportOnce(delegate, request);
      return rejected;
    },
    abort: () => agent?.destroy(),
    close: () => agent?.destroy(),
  };
}
