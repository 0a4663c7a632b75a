import type { IOtlpExportDelegate } from '@opentelemetry/otlp-exporter-base';
import type { IExportTraceServiceResponse, ISerializer } from '@opentelemetry/otlp-transformer';
import type { EncodedRequest } from './encode-request.ts';

/** Delivers one request after the other, with the retries of its protocol. */
export interface Sender {
  /** Where to, for messages. */
  readonly target: string;
  /** Spans the collector refused out of a request it took; throws when the request is lost. One at a time. */
  send(request: EncodedRequest): Promise<number>;
  /** Gives up what is under way. The sender stays usable. */
  abort(): void;
  /** Closes connections, for good. */
  close(): void;
}

export type RequestDelegate = IOtlpExportDelegate<EncodedRequest>;
export type RequestSerializer = ISerializer<EncodedRequest, IExportTraceServiceResponse>;

/** The delegate's serializer passes bytes through and tells `onRejected` of a partial success. */
export function passThrough(
  deserialize: (data: Uint8Array) => IExportTraceServiceResponse,
  onRejected: (spans: number) => void,
): RequestSerializer {
  return {
    serializeRequest: (request) => request.bytes,
    deserializeResponse: (data) => {
      const response = deserializeLeniently(deserialize, data);
      // JSON has int64 as a string.
      const rejected = Number(response.partialSuccess?.rejectedSpans ?? 0);
      if (rejected > 0) onRejected(rejected);
      return response;
    },
  };
}

/** A sink that answers 200 with a body of its own still took the spans. */
function deserializeLeniently(
  deserialize: (data: Uint8Array) => IExportTraceServiceResponse,
  data: Uint8Array,
): IExportTraceServiceResponse {
  try {
    return deserialize(data);
  } catch {
    return {};
  }
}

/** The delegate's callback as a promise. */
export function exportOnce(delegate: RequestDelegate, request: EncodedRequest): Promise<void> {
  return new Promise((resolve, reject) => {
    delegate.export(request, (result) => {
      // ExportResultCode.SUCCESS = 0
      if (result.code === 0) resolve();
      else reject(result.error ?? new Error('export failed'));
    });
  });
}
