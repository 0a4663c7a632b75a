import { setGlobalErrorHandler } from '@opentelemetry/core';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import { type BatchSink, createBatchSink, type QueueForm } from './batch-sink.ts';
import { type EncodedRequest, encodeRequests, RequestMemory } from './encode-request.ts';
import { createSpanEncoder, type EncodedSpan } from './encoded-span.ts';
import { OtlpExporter } from './otlp-exporter.ts';
import { createHttpSender } from './otlp-http.ts';
import type { ExportSettings } from './settings.ts';
import type { MutableExportStats } from './stats.ts';

/** Below the 4 MiB that gRPC servers take by default, headers and framing included. */
const MAX_REQUEST_BYTES = 3.5 * 1024 * 1024;
/** How spans wait and leave. */
export interface Encoding extends QueueForm {
  readonly encode: (spans: readonly ReadableSpan[]) => Iterable<EncodedRequest>;
}

/** Spans through the SDK's batch processor and transports. */
export async function createOtlpSink(
  settings: ExportSettings,
  log: Log,
  stats: MutableExportStats,
  userAgent = 'otel-rust-agent',
): Promise<BatchSink> {
  // The processor reports failed exports here; they are counted and logged by the exporter.
  setGlobalErrorHandler((error) => log.debug(`OpenTelemetry SDK: ${messageOf(error)}`));
  const { otlp, batch } = settings;
  // The processor stops waiting at its own time-out: an export that went on would pile up behind the next.
  const timeoutMs = Math.min(otlp.timeoutMs, batch.exportTimeoutMs);
  // Imported when needed: gRPC costs 60 ms and 5 MB, the SDK's serializers 50 ms.
  const encoding =
    otlp.protocol === 'http/json'
      ? (await import('./json-encoding.ts')).jsonEncoding(settings)
      : protobufEncoding(settings);
  const createSender =
    otlp.protocol === 'grpc' ? (await import('./otlp-grpc.ts')).createGrpcSender : createHttpSender;
  const sender = createSender(otlp, timeoutMs, userAgent);
  const exporter = new OtlpExporter({ sender, encode: encoding.encode, stats, log, timeoutMs });
  return createBatchSink(batch, exporter, encoding, stats);
}

function protobufEncoding({ limits }: ExportSettings): Encoding {
  const { encode, release } = createSpanEncoder(limits);
  const memory = new RequestMemory();
  return {
    // The processor reads no more of a span than EncodedSpan has.
    toQueued: (span) => encode(span) as unknown as ReadableSpan,
    sizeBytes: (queued) => (queued as unknown as EncodedSpan).sizeBytes,
    encode: function* (spans) {
      const encoded = spans as unknown as readonly EncodedSpan[];
      yield* encodeRequests(encoded, MAX_REQUEST_BYTES, memory);
      release(encoded);
    },
  };
}
