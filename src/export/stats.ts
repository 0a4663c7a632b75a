/** What became of the spans given to the sink. All but `queued` and `inFlight` only grow. */
export interface ExportStats {
  /** Waiting for a batch now. */
  readonly queued: number;
  /** In a batch that has no answer yet. */
  readonly inFlight: number;
  /** Accepted by the collector. */
  readonly exported: number;
  /** Lost: the queue was full. */
  readonly droppedQueueFull: number;
  /** Lost: the batch could not be delivered, or was refused as a whole. */
  readonly failedExport: number;
  /** Lost: the collector took the batch but refused these (OTLP partial success). */
  readonly rejected: number;
  /** Not shown: the console could not keep up. */
  readonly droppedConsole: number;
  /** Why spans were last lost on the way to the collector. */
  readonly lastError: string | undefined;
}

export type MutableExportStats = { -readonly [Key in keyof ExportStats]: ExportStats[Key] };

export function emptyStats(): MutableExportStats {
  return {
    queued: 0,
    inFlight: 0,
    exported: 0,
    droppedQueueFull: 0,
    failedExport: 0,
    rejected: 0,
    droppedConsole: 0,
    lastError: undefined,
  };
}
