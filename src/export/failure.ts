import { OTLPExporterError } from '@opentelemetry/otlp-exporter-base';
import { messageOf } from '../base/errors.ts';

const MAX_BODY = 200;

/** One line that says why an export failed. */
export function failureReason(error: unknown): string {
  if (error instanceof OTLPExporterError) return httpReason(error);
  // Connecting to a name with several addresses fails with one error for each, and no message of its own.
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  // grpc-js ends its message with an empty note.
  return messageOf(error)
    .split('\n', 1)
    .join('')
    .replace(/ Resolution note: $/, '');
}

function httpReason(error: OTLPExporterError): string {
  // The transport keeps no status code once its retries are used up.
  if (error.code === undefined) return 'retries used up (the collector answered 429, 502, 503 or 504)';
  const body = error.data?.trim() ?? '';
  const readable = /^[\x20-\x7e]+$/.test(body) ? `: ${body.slice(0, MAX_BODY)}` : '';
  return `HTTP ${error.code} ${error.message}${readable}`;
}
