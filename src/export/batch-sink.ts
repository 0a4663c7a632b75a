import { BatchSpanProcessor, type ReadableSpan, type SpanExporter } from '@opentelemetry/sdk-trace';
import type { SpanRecord, SpanSink } from '../spans/span.ts';
import type { OtlpExporter } from './otlp-exporter.ts';
import type { BatchSettings } from './settings.ts';
import type { MutableExportStats } from './stats.ts';

const SAMPLED = 1;

export interface BatchSink extends SpanSink {
  /** Sends what is queued, for at most the export time-out. */
  readonly shutdown: () => Promise<void>;
}

/** How a span waits in the queue. */
export interface QueueForm {
  readonly toQueued: (span: SpanRecord) => ReadableSpan;
  /** Memory it takes there, about. */
  readonly sizeBytes: (queued: ReadableSpan) => number;
}

/** Half of this is usual; long paths and captured headers make more. */
const BYTES_PER_SPAN = 1024;
const MIN_QUEUE_BYTES = 4 * 1024 * 1024;

/**
 * Spans through the SDK's batch processor. The processor takes spans from its queue only when it calls the
 * exporter, so counting there tells the queue's length exactly. It counts spans only; here their bytes are bounded
 * too, so that requests with long heads don't make a queue of half a gigabyte.
 */
export function createBatchSink(
  settings: BatchSettings,
  exporter: OtlpExporter,
  { toQueued, sizeBytes }: QueueForm,
  stats: MutableExportStats,
): BatchSink {
  let queuedBytes = 0;
  let closed = false;
  const processor = new BatchSpanProcessor({
    exporter: taking(exporter, (spans) => {
      for (const span of spans) queuedBytes -= sizeBytes(span);
    }),
    maxQueueSize: settings.maxQueueSize,
    maxExportBatchSize: settings.maxExportBatchSize,
    scheduledDelayMillis: settings.scheduleDelayMs,
    exportTimeoutMillis: settings.exportTimeoutMs,
  });
  // Room for what the caller adds before it asks again.
  const highWater = settings.maxQueueSize - Math.ceil(settings.maxQueueSize / 4);
  const maxBytes = Math.max(settings.maxQueueSize * BYTES_PER_SPAN, MIN_QUEUE_BYTES);
  return {
    add: (span) => {
      if ((span.traceFlags & SAMPLED) === 0) return;
      if (closed || stats.queued >= settings.maxQueueSize || queuedBytes >= maxBytes) {
        stats.droppedQueueFull++;
        return;
      }
      const queued = toQueued(span);
      stats.queued++;
      queuedBytes += sizeBytes(queued);
      processor.onEnd(queued);
    },
    // While the collector is gone or slow the kernel's ring must not fill up as well: drop here, and count.
    full: () => (stats.queued >= highWater || queuedBytes >= maxBytes * 0.75) && !exporter.stalled,
    shutdown: async () => {
      closed = true;
      exporter.close();
      await finishWithin(processor.shutdown(), settings.exportTimeoutMs);
      exporter.abandon(`no answer within ${settings.exportTimeoutMs} ms of shutting down`);
    },
  };
}

/** The exporter, with a look at the spans that leave the queue for it. */
function taking(exporter: SpanExporter, onTake: (spans: readonly ReadableSpan[]) => void): SpanExporter {
  return {
    export: (spans, done) => {
      onTake(spans);
      exporter.export(spans, done);
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}

/** A failed flush has been counted by the exporter already. */
function finishWithin(work: Promise<void>, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    const finish = () => {
      clearTimeout(timer);
      resolve();
    };
    work.then(finish, finish);
  });
}
