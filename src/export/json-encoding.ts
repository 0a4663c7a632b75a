import { JsonTraceSerializer } from '@opentelemetry/otlp-transformer';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { EncodedRequest } from './encode-request.ts';
import type { Encoding } from './otlp-sink.ts';
import { ReadableRecord } from './readable-span.ts';
import type { ExportSettings } from './settings.ts';

/** About 1.5 KB a span. */
const MAX_JSON_SPANS = 2_048;

/** A record, its attributes and its texts. */
const RECORD_BYTES = 2_048;

/** OTLP/JSON by the SDK's own serializer. */
export function jsonEncoding({ limits }: ExportSettings): Encoding {
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
