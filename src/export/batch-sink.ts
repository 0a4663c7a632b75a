import { BatchSpanProcessor, type ReadableSpan } from '@opentelemetry/sdk-trace';
import type { SpanRecord, SpanSink } from '../spans/span.ts';
import type { OtlpExporter } from './otlp-exporter.ts';
import type { BatchSettings } from './settings.ts';
import type { MutableExportStats } from './stats.ts';

const SAMPLED = 1;

export interface BatchSink extends SpanSink {
  /** Sends what is queued, for at most the export time-out. */
  readonly shutdown: () => Promise<void>;
}

/**
 * Spans through the SDK's batch processor. The processor takes spans from its queue only when it calls the
 * exporter, so counting there tells the queue's length exactly.
 */
export function createBatchSink(
  settings: BatchSettings,
  exporter: OtlpExporter,
  toQueued: (span: SpanRecord) => ReadableSpan,
  stats: MutableExportStats,
): BatchSink {
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: settings.maxQueueSize,
    maxExportBatchSize: settings.maxExportBatchSize,
    scheduledDelayMillis: settings.scheduleDelayMs,
    exportTimeoutMillis: settings.exportTimeoutMs,
  });
  // Room for what the caller adds before it asks again.
  const highWater = settings.maxQueueSize - Math.ceil(settings.maxQueueSize / 4);
  return {
    add: (span) => {
      if ((span.traceFlags & SAMPLED) === 0) return;
      if (stats.queued >= settings.maxQueueSize) {
        stats.droppedQueueFull++;
        return;
      }
      stats.queued++;
      processor.onEnd(toQueued(span));
    },
    // While the collector is gone or slow the kernel's ring must not fill up as well: drop here, and count.
    full: () => stats.queued >= highWater && !exporter.stalled,
    shutdown: async () => {
      exporter.close();
      await finishWithin(processor.shutdown(), settings.exportTimeoutMs);
      exporter.abandon(`no answer within ${settings.exportTimeoutMs} ms of shutting down`);
    },
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
