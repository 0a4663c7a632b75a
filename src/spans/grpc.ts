import { text } from './server-attributes.ts';

/** Of gRPC itself, without gRPC-Web: PROTOCOL-HTTP2.md, "Content-Type". */
export function isGrpc(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(?:$|[+; \t])/i.test(contentType);
}

/** By number: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
const STATUSES = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

/** SEMCONV "Status": the others are their callers' doing. */
const SERVER_ERRORS: ReadonlySet<string> = new Set([
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
]);

const MAX_STATUS_TEXT = 16;

/** The name of a `grpc-status`; the number itself where it has none. undefined for what is no number. */
export function statusName(value: string): string | undefined {
  if (!/^\d+$/.test(value) || value.length > MAX_STATUS_TEXT) return undefined;
  return STATUSES[Number(value)] ?? `${Number(value)}`;
}

export const isClientError = (status: string) => status !== 'OK';
/** A number without a name is taken for UNKNOWN by those who receive it (statuscodes.md). */
export const isServerError = (status: string) => SERVER_ERRORS.has(status) || /^\d/.test(status);

/** Of an answer without `grpc-status`: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md */
const BY_HTTP_STATUS: Readonly<Record<number, string>> = {
  400: 'INTERNAL',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'UNIMPLEMENTED',
  429: 'UNAVAILABLE',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'UNAVAILABLE',
};

export const statusOfHttp = (status: number) => BY_HTTP_STATUS[status] ?? 'UNKNOWN';

/** RFC 9113 §7 */
const REASONS = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
] as const;

export const CANCEL = 8;

export const reasonName = (reason: number): string => REASONS[reason] ?? `${reason}`;

/** PROTOCOL-HTTP2.md, "Errors". */
const BY_REASON: Readonly<Record<string, string>> = {
  REFUSED_STREAM: 'UNAVAILABLE',
  CANCEL: 'CANCELLED',
  ENHANCE_YOUR_CALM: 'RESOURCE_EXHAUSTED',
  INADEQUATE_SECURITY: 'PERMISSION_DENIED',
};

export const statusOfReset = (reason: number): string => BY_REASON[reasonName(reason)] ?? 'INTERNAL';

const UNIT_NS: Readonly<Record<string, number>> = { H: 3600e9, M: 60e9, S: 1e9, m: 1e6, u: 1e3, n: 1 };

/** `grpc-timeout` in ns; undefined for what is none. */
export function timeoutNs(value: string | undefined): number | undefined {
  const match = value === undefined ? undefined : /^(\d{1,8})([HMSmun])$/.exec(value);
  return match ? Number(match[1]) * (UNIT_NS[match[2] ?? ''] ?? 0) : undefined;
}

/** `pkg.Service/Method`; undefined for what is no gRPC path. */
export function methodOfPath(path: string | undefined): string | undefined {
  const match = path === undefined ? undefined : /^\/([^/?#]+\/[^/?#]+)(?:[?#]|$)/.exec(path);
  return match?.[1] === undefined ? undefined : text(match[1]);
}

const MAX_MESSAGE = 256;

/** `grpc-message`: UTF-8, percent-encoded (PROTOCOL-HTTP2.md, "Status-Message"); what is no such code stays. */
export function messageText(value: string): string {
  const bytes = value.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  const message = text(bytes);
  return message.length > MAX_MESSAGE ? `${message.slice(0, MAX_MESSAGE)}…` : message;
}
