import type { IExportTraceServiceResponse } from '@opentelemetry/otlp-transformer';
import { Reader } from '../base/reader.ts';

/** opentelemetry/proto/collector/trace/v1/trace_service.proto: field numbers. */
const PARTIAL_SUCCESS = 1;
const REJECTED_SPANS = 1;
const ERROR_MESSAGE = 2;

type PartialSuccess = NonNullable<IExportTraceServiceResponse['partialSuccess']>;
type Field = number | Uint8Array | undefined;

/** An ExportTraceServiceResponse; throws when it is something else. The SDK's decoder would cost 50 ms to import. */
export function decodeResponse(data: Uint8Array): IExportTraceServiceResponse {
  let partialSuccess: PartialSuccess | undefined;
  eachField(data, (number, value) => {
    if (number === PARTIAL_SUCCESS && value instanceof Uint8Array) partialSuccess = decodePartial(value);
  });
  return partialSuccess ? { partialSuccess } : {};
}

export function decodeJsonResponse(data: Uint8Array): IExportTraceServiceResponse {
  return data.length === 0 ? {} : JSON.parse(new TextDecoder().decode(data));
}

function decodePartial(data: Uint8Array): PartialSuccess {
  const partial: PartialSuccess = {};
  eachField(data, (number, value) => {
    if (number === REJECTED_SPANS && typeof value === 'number') partial.rejectedSpans = value;
    if (number === ERROR_MESSAGE && value instanceof Uint8Array) {
      partial.errorMessage = new TextDecoder().decode(value);
    }
  });
  return partial;
}

/** Numbers for varints, bytes for what has a length, nothing for fixed sizes. */
function eachField(data: Uint8Array, onField: (number: number, value: Field) => void): void {
  const reader = new Reader(data);
  while (reader.remaining > 0) {
    const tag = readVarint(reader, 'tag');
    onField(Math.floor(tag / 8), readField(reader, tag % 8));
  }
}

function readField(reader: Reader, wireType: number): Field {
  switch (wireType) {
    case 0:
      return readVarint(reader, 'number');
    case 1:
      reader.skip(8, '64-bit field');
      return undefined;
    case 2:
      return reader.take(readVarint(reader, 'length'), 'field');
    case 5:
      reader.skip(4, '32-bit field');
      return undefined;
    default:
      throw new Error(`Cannot read an OTLP response: wire type ${wireType}`);
  }
}

/** Exact below 2^53; a count of spans is. */
function readVarint(reader: Reader, what: string): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 70; scale *= 128) {
    const byte = reader.u8(what);
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  throw new Error(`Cannot read an OTLP response: ${what} of more than 10 bytes`);
}
