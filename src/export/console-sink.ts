import type { SpanRecord } from '../spans/span.ts';
import type { BatchSink } from './batch-sink.ts';
import { type Paint, painter, renderLine } from './console-line.ts';
import { renderTree } from './console-tree.ts';
import type { ConsoleFormat } from './settings.ts';
import { traceIdHex } from './span-ids.ts';
import type { MutableExportStats } from './stats.ts';

export interface ConsoleOutput {
  /** Whole lines with their line ends. */
  readonly print: (text: string) => void;
  readonly colour: boolean;
}

const FLUSH_MS = 100;
/** Nobody reads more than this in a tenth of a second; the rest is counted. */
const MAX_PENDING = 5_000;
/** A trace is complete when nothing was added to it for this long: a guess, late spans get a tree of their own. */
const QUIET_MS = 400;

/** Prints spans, some at a time. */
export function createConsoleSink(
  format: ConsoleFormat,
  output: ConsoleOutput,
  stats: MutableExportStats,
): BatchSink {
  const paint = painter(output.colour);
  const pending = format === 'tree' ? new PendingTraces(paint) : new PendingLines(paint);
  const flush = (all: boolean) => {
    const lines = pending.take(all);
    if (lines.length > 0) output.print(`${lines.join('\n')}\n`);
  };
  const timer = setInterval(() => flush(false), FLUSH_MS).unref();
  return {
    add: (span) => {
      if (pending.count >= MAX_PENDING) {
        stats.droppedConsole++;
        return;
      }
      stats.printed++;
      pending.add(span);
    },
    full: () => false,
    shutdown: async () => {
      clearInterval(timer);
      flush(true);
    },
  };
}

class PendingLines {
  readonly #paint: Paint;
  #spans: SpanRecord[] = [];

  constructor(paint: Paint) {
    this.#paint = paint;
  }

  get count(): number {
    return this.#spans.length;
  }

  add(span: SpanRecord): void {
    this.#spans.push(span);
  }

  take(): string[] {
    const spans = this.#spans;
    this.#spans = [];
    return spans.map((span) => renderLine(span, this.#paint));
  }
}

interface PendingTrace {
  readonly spans: SpanRecord[];
  changedAt: number;
}

class PendingTraces {
  readonly #paint: Paint;
  readonly #traces = new Map<string, PendingTrace>();
  count = 0;

  constructor(paint: Paint) {
    this.#paint = paint;
  }

  add(span: SpanRecord): void {
    const id = traceIdHex(span);
    const trace = this.#traces.get(id) ?? { spans: [], changedAt: 0 };
    this.#traces.set(id, trace);
    trace.spans.push(span);
    trace.changedAt = Date.now();
    this.count++;
  }

  /** Trees of the traces that are quiet, or of all. */
  take(all: boolean): string[] {
    const lines: string[] = [];
    const limit = Date.now() - QUIET_MS;
    for (const [id, { spans, changedAt }] of this.#traces) {
      if (!all && changedAt > limit) continue;
      this.#traces.delete(id);
      this.count -= spans.length;
      lines.push(...renderTree(spans, this.#paint));
    }
    return lines;
  }
}
