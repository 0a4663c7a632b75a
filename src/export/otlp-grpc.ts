import type { ChannelCredentials, Metadata } from '@grpc/grpc-js';
import {
  createEmptyMetadata,
  createInsecureCredentials,
  createOtlpGrpcExportDelegate,
  createSslCredentials,
} from '@opentelemetry/otlp-grpc-exporter-base';
import { messageOf, UserError } from '../base/errors.ts';
import type { EncodedRequest } from './encode-request.ts';
import { retryDelayMs } from './grpc-retry.ts';
import { decodeResponse } from './otlp-response.ts';
import { exportOnce, passThrough, type RequestDelegate, type Sender } from './sender.ts';
import type { OtlpSettings } from './settings.ts';
import { readTlsFiles } from './tls.ts';

const SERVICE = 'TraceExportService';
const METHOD = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';

/** OTLP over gRPC. The SDK's gRPC transport tries once, so the retries the protocol asks for are made here. */
export function createGrpcSender(settings: OtlpSettings, timeoutMs: number, userAgent: string): Sender {
  const credentials = createCredentials(settings);
  const metadata = createMetadata(settings.headers);
  let rejected = 0;
  const serializer = passThrough(decodeResponse, (spans) => {
    rejected = spans;
  });
  const options = {
    url: settings.endpoint,
    compression: settings.compression,
    timeoutMillis: timeoutMs,
    concurrencyLimit: 2,
    userAgent,
    credentials: () => credentials,
    metadata: () => metadata,
  };
  const delegate = createOtlpGrpcExportDelegate(
    options,
    serializer,
    'otlp_grpc_span_exporter',
    { name: 'span', countItems: (request: EncodedRequest) => request.spanCount },
    undefined,
    SERVICE,
    METHOD,
  );
  return {
    target: settings.endpoint,
    send: async (request) => {
      rejected = 0;
      await sendWithRetries(delegate, request, Date.now() + timeoutMs);
      return rejected;
    },
    abort: () => {
      // Each call has a deadline of its own.
    },
    close: () => void delegate.shutdown(),
  };
}

async function sendWithRetries(
  delegate: RequestDelegate,
  request: EncodedRequest,
  deadline: number,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await exportOnce(delegate, request);
    } catch (error) {
      const delay = retryDelayMs(error, attempt);
      if (delay === undefined || Date.now() + delay >= deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
  }
}

function createCredentials(settings: OtlpSettings): ChannelCredentials {
  if (settings.insecure) return createInsecureCredentials();
  const { ca, key, cert } = readTlsFiles(settings);
  return createSslCredentials(ca, key, cert);
}

function createMetadata(headers: Readonly<Record<string, string>>): Metadata {
  const metadata = createEmptyMetadata();
  for (const [key, value] of Object.entries(headers)) {
    try {
      metadata.set(key, value);
    } catch (error) {
      throw new UserError(`Cannot send header ${key} over gRPC: ${messageOf(error)}`);
    }
  }
  return metadata;
}
