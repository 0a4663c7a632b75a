/** What the export stage counts. `queued` and `inFlight` say what is there now; the others only grow. */
export const COUNTERS = {
  queued: { label: 'queued', loss: false, meaning: 'spans that wait for a batch' },
  inFlight: { label: 'in flight', loss: false, meaning: 'spans in a batch that has no answer yet' },
  exported: { label: 'exported', loss: false, meaning: 'spans the collector took' },
  printed: { label: 'printed', loss: false, meaning: 'spans the console exporter showed' },
  droppedQueueFull: { label: 'queue full', loss: true, meaning: 'spans that found the queue full' },
  failedExport: {
    label: 'export failed',
    loss: true,
    meaning: 'spans of batches that could not be delivered, or were refused as a whole',
  },
  rejected: {
    label: 'rejected',
    loss: true,
    meaning: 'spans the collector refused out of a batch it took (OTLP partial success)',
  },
  droppedConsole: {
    label: 'not printed',
    loss: true,
    meaning: 'spans left out because the console was behind',
  },
} as const;

export type CounterName = keyof typeof COUNTERS;
export type Counters = Readonly<Record<CounterName, number>>;

export interface ExportStats extends Counters {
  /** Why spans were last lost on the way to the collector. */
  readonly lastError: string | undefined;
}

export type MutableExportStats = { -readonly [Key in keyof ExportStats]: ExportStats[Key] };

export function emptyStats(): MutableExportStats {
  return {
    queued: 0,
    inFlight: 0,
    exported: 0,
    printed: 0,
    droppedQueueFull: 0,
    failedExport: 0,
    rejected: 0,
    droppedConsole: 0,
    lastError: undefined,
  };
}

/** The ways to lose spans by the names the status line shows, zeros included. */
export function exportLosses(
  counters: Counters,
): readonly { readonly name: string; readonly count: number }[] {
  return (Object.keys(COUNTERS) as CounterName[])
    .filter((name) => COUNTERS[name].loss)
    .map((name) => ({ name: COUNTERS[name].label, count: counters[name] }));
}
