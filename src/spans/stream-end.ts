import type { StreamEvent } from '../events/events.ts';
import { EVENT_KIND } from '../events/layout.ts';
import {
  CANCEL,
  isClientError,
  isGrpc,
  isServerError,
  messageText,
  reasonName,
  statusName,
  statusOfHttp,
  statusOfReset,
} from './grpc.ts';
import type { OpenStream } from './stream.ts';
import { headerOf } from './stream-head.ts';

/** How a stream's span ends. */
export interface StreamEnd {
  /** Of HTTP; 0 when none was seen, and of remote procedure calls. */
  readonly status: number;
  /** Of gRPC, by name. */
  readonly rpcStatus: string | undefined;
  /** `error.type` of a failed one. */
  readonly error: string | undefined;
  /** Why it ended without an answer of its own. */
  readonly reason: string | undefined;
  readonly message: string | undefined;
}

const PLAIN: StreamEnd = {
  status: 0,
  rpcStatus: undefined,
  error: undefined,
  reason: undefined,
  message: undefined,
};

const unset = (reason: string): StreamEnd => ({ ...PLAIN, reason });
const failure = (error: string, reason: string, message: string): StreamEnd => ({
  ...PLAIN,
  error,
  reason,
  message,
});

export const CONNECTION_LOST = unset('connection_lost');
export const AGENT_STOPPED = unset('agent_stopped');
/** More streams are open than the agent keeps. */
export const OPEN_LIMIT = unset('open_limit');
/** It was answered, and nothing tells how. */
const STATUS_NOT_SEEN = unset('status_not_seen');
export const PROCESS_EXIT = failure('process_exit', 'process_exit', 'the process ended before the answer');
export const AGENT_TIMEOUT = failure('timeout', 'timeout', 'no response within the time limit of the agent');

const GIVEN_UP = failure('timeout', 'timeout', 'the client gave up waiting for the response');

/** Of an HTTP response. SEMCONV "Status": 4xx is an error for clients. */
export function httpEnd({ server, panicAt }: OpenStream, status: number): StreamEnd {
  const failed = status >= (server ? 500 : 400);
  const error = failed ? (panicAt > 0 ? 'panic' : `${status}`) : undefined;
  return { ...PLAIN, status, error };
}

/** Of response headers or trailers; undefined: more is to come. */
export function rpcEnd(open: OpenStream, event: StreamEvent): StreamEnd | undefined {
  const given = headerOf(event, 'grpc-status');
  if (given !== undefined)
    return withStatus(open, statusName(given) ?? 'UNKNOWN', headerOf(event, 'grpc-message'));
  if (event.kind === EVENT_KIND.STREAM_TRAILERS) {
    if (event.cut || open.server) return STATUS_NOT_SEEN;
    return withStatus(open, 'UNKNOWN', undefined);
  }
  const type = headerOf(event, 'content-type');
  if (event.status === 200 && (type === undefined || isGrpc(type))) return undefined;
  if (!open.server) return withStatus(open, statusOfHttp(event.status), undefined);
  return event.status >= 500 ? { ...STATUS_NOT_SEEN, error: `${event.status}` } : STATUS_NOT_SEEN;
}

function withStatus(open: OpenStream, rpcStatus: string, message: string | undefined): StreamEnd {
  const failed = open.server ? isServerError(rpcStatus) : isClientError(rpcStatus);
  if (!failed) return { ...PLAIN, rpcStatus };
  const error = open.panicAt > 0 ? 'panic' : rpcStatus;
  return { ...PLAIN, rpcStatus, error, message: message ? messageText(message) : undefined };
}

/** RFC 9113 §6.4: by the peer, or (`local`) by the process itself. */
export function resetEnd(open: OpenStream, { local, reason, timeNs }: StreamEvent): StreamEnd {
  const name = reasonName(reason);
  const cancelled = reason === CANCEL && (open.rpc || (local && !open.server));
  if (cancelled && open.givenUpNs !== 0) return GIVEN_UP;
  const late = open.rpc && cancelled && !open.server && isLate(open, timeNs);
  const why = late ? 'timeout' : cancelled ? 'cancelled' : 'reset';
  if (open.panicAt > 0) {
    const rpcStatus = open.rpc ? statusOfReset(reason) : undefined;
    return { ...failure('panic', 'panic', 'the handler panicked before it answered'), rpcStatus };
  }
  const message = late ? 'the deadline has passed' : `the stream was reset: ${name}`;
  if (open.rpc) {
    const status = late ? 'DEADLINE_EXCEEDED' : statusOfReset(reason);
    const end = withStatus(open, status, undefined);
    return { ...end, reason: why, message: end.error === undefined ? undefined : message };
  }
  return cancelled ? unset(why) : failure(name, why, message);
}

/** The library's timer begins a little after the call and ticks in ms. */
const TIMER_NS = 1e6;

function isLate({ startNs, timeoutNs }: OpenStream, nowNs: number): boolean {
  return timeoutNs !== undefined && nowNs - startNs + Math.min(TIMER_NS, timeoutNs / 10) >= timeoutNs;
}

const CLOSED = failure(
  'connection_closed',
  'connection_closed',
  'the connection was closed before the answer',
);

/** gRPC's clients tell their callers UNAVAILABLE; what a server would have said is not known. */
export function closedEnd(open: OpenStream): StreamEnd {
  return open.rpc && !open.server ? { ...CLOSED, rpcStatus: 'UNAVAILABLE', error: 'UNAVAILABLE' } : CLOSED;
}
