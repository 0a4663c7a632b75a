import { setGlobalErrorHandler } from '@opentelemetry/core';
import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import { messageOf } from '../base/errors.ts';
import type { Log } from '../base/log.ts';
import type { SpanSink } from '../spans/span.ts';
import { type BatchSink, createBatchSink, type QueueForm } from './batch-sink.ts';
import { type ConsoleOutput, createConsoleSink } from './console-sink.ts';
import { type EncodedRequest, encodeRequests, RequestMemory } from './encode-request.ts';
import { createSpanEncoder, type EncodedSpan } from './encoded-span.ts';
import { OtlpExporter } from './otlp-exporter.ts';
import { createHttpSender } from './otlp-http.ts';
import { ReadableRecord } from './readable-span.ts';
import type { ExportSettings } from './settings.ts';
import { type ExportStats, emptyStats, type MutableExportStats } from './stats.ts';

export interface Export {
  readonly sink: SpanSink;
  /** A copy. */
  readonly stats: () => ExportStats;
  /** Sends what is queued and closes; never takes longer than the export time-out by much, never throws. */
  readonly shutdown: () => Promise<void>;
}

export interface ExportOptions {
  /** `name/version`, in front of the OTLP exporter's own. */
  readonly userAgent?: string;
  /** Where the console exporter prints; standard output when not given. */
  readonly console?: ConsoleOutput;
}

/** Throws `UserError` when the settings can't work: an unreadable certificate. */
export async function createExport(
  settings: ExportSettings,
  log: Log,
  options: ExportOptions = {},
): Promise<Export> {
  // The processor reports failed exports here; they are counted and logged by the exporter.
  setGlobalErrorHandler((error) => log.debug(`OpenTelemetry SDK: ${messageOf(error)}`));
  const stats = emptyStats();
  const sinks: BatchSink[] = [];
  if (settings.exporters.includes('otlp'))
    sinks.push(await createOtlpSink(settings, log, stats, options.userAgent));
  if (settings.exporters.includes('console')) {
    sinks.push(createConsoleSink(settings.consoleFormat, options.console ?? standardOutput(), stats));
  }
  return {
    sink: combine(sinks),
    stats: () => ({ ...stats }),
    shutdown: async () => {
      await Promise.all(sinks.map((sink) => sink.shutdown()));
    },
  };
}

function standardOutput(): ConsoleOutput {
  const { stdout, env } = process;
  return { print: (text) => stdout.write(text), colour: stdout.isTTY === true && !env.NO_COLOR };
}

function combine(sinks: readonly SpanSink[]): SpanSink {
  const [only] = sinks;
  if (only !== undefined && sinks.length === 1) return only;
  return {
    add: (span) => {
      for (const sink of sinks) sink.add(span);
    },
    full: () => sinks.some((sink) => sink.full()),
  };
}

/** Below the 4 MiB that gRPC servers take by default, headers and framing included. */
const MAX_REQUEST_BYTES = 3.5 * 1024 * 1024;
/** About 1.5 KB a span. */
const MAX_JSON_SPANS = 2_048;

/** A record, its attributes and its texts. */
const RECORD_BYTES = 2_048;

interface Encoding extends QueueForm {
  readonly encode: (spans: readonly ReadableSpan[]) => Iterable<EncodedRequest>;
}

async function createOtlpSink(
  settings: ExportSettings,
  log: Log,
  stats: MutableExportStats,
  userAgent = 'otel-rust-agent',
): Promise<BatchSink> {
  const { otlp, batch } = settings;
  // The processor stops waiting at its own time-out: an export that went on would pile up behind the next.
  const timeoutMs = Math.min(otlp.timeoutMs, batch.exportTimeoutMs);
  const encoding = otlp.protocol === 'http/json' ? jsonEncoding(settings) : protobufEncoding(settings);
  // Imported when needed: gRPC costs 60 ms and 5 MB.
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

function jsonEncoding({ limits }: ExportSettings): Encoding {
  return {
    toQueued: (span) => new ReadableRecord(span, limits),
    sizeBytes: () => RECORD_BYTES,
    encode: jsonRequests,
  };
}

function* jsonRequests(spans: readonly ReadableSpan[]): Generator<EncodedRequest, void, undefined> {
  for (let from = 0; from < spans.length; from += MAX_JSON_SPANS) {
    const part = spans.slice(from, from + MAX_JSON_SPANS);
    const bytes = JsonTraceSerializer.serializeRequest(part);
    if (bytes) yield { bytes, spanCount: part.length };
  }
}
