import type { ExportResult } from '@opentelemetry/core';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';
import type { Log } from '../base/log.ts';
import type { EncodedRequest } from './encode-request.ts';
import { failureReason } from './failure.ts';
import type { Sender } from './sender.ts';
import type { MutableExportStats } from './stats.ts';

export interface OtlpExporterOptions {
  readonly sender: Sender;
  /** Cuts a batch into requests; called when its turn to be sent has come. */
  readonly encode: (spans: readonly ReadableSpan[]) => Iterable<EncodedRequest>;
  readonly stats: MutableExportStats;
  readonly log: Log;
  /** After this and a second more a request is given up, whatever the transport says. */
  readonly timeoutMs: number;
}

/** The batch processor gives up waiting for an export, but the export goes on: this many may pile up. */
const MAX_WAITING = 2;
/** A target that needs longer than this isn't just busy for a moment. */
const STALL_MS = 1_000;
const GRACE_MS = 1_000;
const LOG_INTERVAL_MS = 30_000;

/** Sends batches one after the other and counts what became of every span. */
export class OtlpExporter implements SpanExporter {
  readonly #options: OtlpExporterOptions;
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #closing = false;
  #closed = false;
  #failing = false;
  #busySince: number | undefined;
  #lostSinceLog = 0;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: OtlpExporterOptions) {
    this.#options = options;
  }

  /** Batches don't get through just now, or only slowly: waiting for the queue to drain would be in vain. */
  get stalled(): boolean {
    return this.#failing || (this.#busySince !== undefined && Date.now() - this.#busySince > STALL_MS);
  }

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    const { stats } = this.#options;
    stats.queued -= spans.length;
    stats.inFlight += spans.length;
    if (this.#waiting >= MAX_WAITING && !this.#closing) {
      this.#lose(spans.length, 'earlier batches are still under way');
      done({ code: 1 });
      return;
    }
    this.#waiting++;
    this.#tail = this.#tail.then(async () => {
      const delivered = await this.#sendBatch(spans);
      this.#waiting--;
      done({ code: delivered ? 0 : 1 });
    });
  }

  /** From now on a failure fails all batches behind it at once: nobody waits at exit for a dead collector. */
  close(): void {
    this.#closing = true;
  }

  /** Counts what has no answer yet as lost. */
  abandon(reason: string): void {
    this.#closed = true;
    if (this.#options.stats.inFlight > 0) this.#lose(this.#options.stats.inFlight, reason);
    this.#options.sender.close();
  }

  async forceFlush(): Promise<void> {
    await this.#tail;
  }

  async shutdown(): Promise<void> {
    await this.#tail;
  }

  async #sendBatch(spans: readonly ReadableSpan[]): Promise<boolean> {
    let delivered = true;
    for (const request of this.#options.encode(spans)) {
      if (this.#closed) return false;
      if (this.#closing && this.#failing) {
        this.#lose(request.spanCount, this.#options.stats.lastError ?? 'the collector does not answer');
        delivered = false;
      } else {
        delivered = (await this.#sendRequest(request)) && delivered;
      }
    }
    return delivered;
  }

  async #sendRequest(request: EncodedRequest): Promise<boolean> {
    this.#busySince = Date.now();
    try {
      const rejected = await this.#withDeadline(this.#options.sender.send(request));
      request.release?.(); // a failed one may still be on its way to be sent again
      if (!this.#closed) this.#succeed(request.spanCount, Math.min(rejected, request.spanCount));
      return true;
    } catch (error) {
      if (!this.#closed) this.#lose(request.spanCount, failureReason(error));
      return false;
    } finally {
      this.#busySince = undefined;
    }
  }

  /** The transport's time-out is one of silence: an answer that trickles in would keep it waiting forever. */
  #withDeadline(sent: Promise<number>): Promise<number> {
    const { sender, timeoutMs } = this.#options;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        sender.abort();
        reject(new Error(`no full answer within ${timeoutMs} ms`));
      }, timeoutMs + GRACE_MS);
      sent.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  #succeed(count: number, rejected: number): void {
    const { stats, log, sender } = this.#options;
    stats.inFlight -= count;
    stats.exported += count - rejected;
    stats.rejected += rejected;
    if (rejected > 0) log.warn(`The collector at ${sender.target} refused ${rejected} of ${count} spans`);
    if (this.#failing) log.info(`Spans reach ${sender.target} again; ${stats.failedExport} were lost so far`);
    this.#failing = false;
    this.#loggedAt = Number.NEGATIVE_INFINITY;
  }

  #lose(count: number, reason: string): void {
    const { stats, log, sender } = this.#options;
    stats.inFlight -= count;
    stats.failedExport += count;
    stats.lastError = reason;
    this.#failing = true;
    this.#lostSinceLog += count;
    if (Date.now() - this.#loggedAt < LOG_INTERVAL_MS) return;
    log.warn(`Cannot export to ${sender.target}: ${reason}; ${this.#lostSinceLog} spans lost`);
    this.#loggedAt = Date.now();
    this.#lostSinceLog = 0;
  }
}
