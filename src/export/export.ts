import type { Log } from '../base/log.ts';
import type { SpanSink } from '../spans/span.ts';
import type { BatchSink } from './batch-sink.ts';
import { type ConsoleOutput, createConsoleSink } from './console-sink.ts';
import type { ExportSettings } from './settings.ts';
import { type ExportStats, emptyStats } from './stats.ts';

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
  const stats = emptyStats();
  const sinks: BatchSink[] = [];
  if (settings.exporters.includes('otlp')) {
    // The OpenTelemetry packages are a third of the time to start, so they are imported when needed.
    const { createOtlpSink } = await import('./otlp-sink.ts');
    sinks.push(await createOtlpSink(settings, log, stats, options.userAgent));
  }
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
