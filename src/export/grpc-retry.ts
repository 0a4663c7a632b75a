/** gRPC status codes that OTLP calls retryable: CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS. */
const RETRYABLE = new Set([1, 4, 10, 11, 14, 15]);
/** Retryable only when the server says how long to wait. */
const RESOURCE_EXHAUSTED = 8;

const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 5_000;
const GROWTH = 1.5;
const JITTER = 0.2;

interface StatusError {
  readonly code: number;
  readonly metadata?: { get(key: string): readonly unknown[] };
}

/**
 * Milliseconds to wait before the next attempt (0 is the first that failed), or undefined when the error is
 * final. https://opentelemetry.io/docs/specs/otlp/#failures
 */
export function retryDelayMs(error: unknown, attempt: number): number | undefined {
  if (!isStatusError(error)) return undefined;
  const asked = retryInfoMs(error);
  if (asked !== undefined && (RETRYABLE.has(error.code) || error.code === RESOURCE_EXHAUSTED)) return asked;
  if (!RETRYABLE.has(error.code)) return undefined;
  const delay = Math.min(FIRST_DELAY_MS * GROWTH ** attempt, MAX_DELAY_MS);
  return delay * (1 + JITTER * (2 * Math.random() - 1));
}

function isStatusError(error: unknown): error is StatusError {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'number';
}

/**
 * `google.rpc.RetryInfo` out of the `grpc-status-details-bin` trailer, a `google.rpc.Status`:
 * Status.details = 3 (Any), Any.type_url = 1, Any.value = 2, RetryInfo.retry_delay = 1 (Duration),
 * Duration.seconds = 1, Duration.nanos = 2.
 */
function retryInfoMs(error: StatusError): number | undefined {
  const [trailer] = error.metadata?.get('grpc-status-details-bin') ?? [];
  if (!(trailer instanceof Uint8Array)) return undefined;
  for (const detail of fields(trailer)) {
    if (detail.number !== 3 || typeof detail.value === 'number') continue;
    const any = fields(detail.value);
    const type = any.find((field) => field.number === 1)?.value;
    const info = any.find((field) => field.number === 2)?.value;
    if (!(type instanceof Uint8Array) || !(info instanceof Uint8Array)) continue;
    if (Buffer.from(type).toString('utf8').endsWith('google.rpc.RetryInfo')) return durationMs(info);
  }
  return undefined;
}

function durationMs(retryInfo: Uint8Array): number | undefined {
  const delay = fields(retryInfo).find((field) => field.number === 1)?.value;
  if (!(delay instanceof Uint8Array)) return undefined;
  const parts = fields(delay);
  const part = (number: number) => Number(parts.find((field) => field.number === number)?.value ?? 0);
  return part(1) * 1_000 + part(2) / 1e6;
}

interface WireField {
  readonly number: number;
  readonly value: number | Uint8Array;
}

/** The varint and length-delimited fields of a message, up to the first byte that makes no sense. */
function fields(bytes: Uint8Array): readonly WireField[] {
  const found: WireField[] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    return value;
  };
  while (at < bytes.length) {
    const tag = varint();
    const type = tag & 7;
    if (type !== 0 && type !== 2) break;
    const number = varint();
    if (type === 0) {
      found.push({ number: tag >>> 3, value: number });
    } else {
      found.push({ number: tag >>> 3, value: bytes.subarray(at, at + number) });
      at += number;
    }
  }
  return found;
}
