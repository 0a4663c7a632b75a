/** What the exporters need to know. Filled by `readConfig`; certificates are still paths here. */
export interface ExportSettings {
  readonly exporters: readonly ExporterName[];
  readonly otlp: OtlpSettings;
  readonly batch: BatchSettings;
  readonly limits: SpanLimits;
  /** `tree` groups the console's spans by trace. */
  readonly consoleFormat: ConsoleFormat;
}

export const EXPORTERS = ['otlp', 'console'] as const;
export type ExporterName = (typeof EXPORTERS)[number];

export const CONSOLE_FORMATS = ['line', 'tree'] as const;
export type ConsoleFormat = (typeof CONSOLE_FORMATS)[number];

export const PROTOCOLS = ['http/protobuf', 'http/json', 'grpc'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

export const COMPRESSIONS = ['none', 'gzip'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

export interface OtlpSettings {
  readonly protocol: Protocol;
  /** http: the full URL, path included. grpc: `host:port` or `unix:path`. */
  readonly endpoint: string;
  /** grpc only: no TLS. */
  readonly insecure: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly compression: Compression;
  /** Paths of PEM files. */
  readonly certificate: string | undefined;
  readonly clientKey: string | undefined;
  readonly clientCertificate: string | undefined;
}

export interface BatchSettings {
  readonly scheduleDelayMs: number;
  readonly exportTimeoutMs: number;
  /** Spans. */
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
}

export interface SpanLimits {
  readonly attributeCount: number;
  readonly attributesPerEvent: number;
  readonly eventCount: number;
  /** UTF-16 code units, as the OpenTelemetry SDK for JavaScript counts; `Infinity` is no limit. */
  readonly attributeValueLength: number;
}
