import { isIP } from 'node:net';
import { constants } from 'node:os';
import type { CallEndEvent } from '../events/events.ts';
import { FUTURE_STATE } from '../events/layout.ts';

/** How a client request ended that no response has ended. `message`: for failed ones. */
export interface ClientEnd {
  readonly reason: string;
  readonly failed: boolean;
  readonly message: string | undefined;
}

const failure = (reason: string, message: string): ClientEnd => ({ reason, failed: true, message });
const unset = (reason: string): ClientEnd => ({ reason, failed: false, message: undefined });

export const CANCELLED = unset('cancelled');
/** Nothing tells whether there was one: HTTP/2 connections are such a case. */
export const RESPONSE_NOT_SEEN = unset('response_not_seen');
export const CONNECTION_LOST = unset('connection_lost');
export const AGENT_STOPPED = unset('agent_stopped');
export const PROCESS_EXIT = failure('process_exit', 'the process ended before the response');
export const AGENT_TIMEOUT = failure('timeout', 'no response within the time limit of the agent');
export const CONNECTION_CLOSED = failure(
  'connection_closed',
  'the connection was closed before the response',
);
const CONNECTION_RESET = failure('connection_reset', 'the connection was reset before the response');
const TIMEOUT = failure('timeout', 'the client gave up waiting for the response');
const CONNECT_TIMEOUT = failure('timeout', 'the client gave up connecting');
const TLS_ERROR = failure('tls_error', 'TLS could not be established');
const NAME_ERROR = failure('name_resolution_error', "the server's name could not be resolved");

const { errno } = constants;
const CONNECT_ERRORS: Readonly<Record<number, readonly [type: string, text: string]>> = {
  [errno.ECONNREFUSED]: ['connection_refused', 'connection refused'],
  [errno.ECONNRESET]: ['connection_reset', 'connection reset by the peer'],
  [errno.ETIMEDOUT]: ['timeout', 'connection timed out'],
  [errno.EHOSTUNREACH]: ['host_unreachable', 'no route to the host'],
  [errno.ENETUNREACH]: ['network_unreachable', 'network is unreachable'],
  [errno.EADDRNOTAVAIL]: ['address_not_available', 'cannot assign the requested address'],
};

/** Of a connection that ended with a request unanswered; `error`: errno of its socket. */
export function closedEnd(error: number): ClientEnd {
  if (error === 0) return CONNECTION_CLOSED;
  if (error === errno.ECONNRESET || error === errno.EPIPE) return CONNECTION_RESET;
  return connectFailure(error, 0) ?? CONNECTION_CLOSED;
}

function connectFailure(error: number, port: number): ClientEnd | undefined {
  if (error === 0) return undefined;
  const [type, text] = CONNECT_ERRORS[error] ?? ['connection_failed', `error ${error}`];
  return failure(type, port === 0 ? text : `connecting to port ${port}: ${text}`);
}

/** What is known of a call besides its end. */
export interface CallEvidence {
  readonly scheme: string | undefined;
  readonly host: string | undefined;
  /** The URL's, also where it is the scheme's default. */
  readonly port: number | undefined;
  /** Of the connection that carried it. */
  readonly closed: ClientEnd | undefined;
}

/** Why a caller is done with a call without a response. */
export function callEnd(event: CallEndEvent, evidence: CallEvidence): ClientEnd {
  if (event.state === FUTURE_STATE.SUSPENDED) return event.givenUp ? TIMEOUT : CANCELLED;
  const found = failureOf(event, evidence);
  if (found) return found;
  return event.state === FUTURE_STATE.UNKNOWN && event.givenUp ? TIMEOUT : RESPONSE_NOT_SEEN;
}

/**
 * The stage that a returned call has reached: name, connection, TLS, request. Connections are counted for the
 * task: of two calls that it makes at once to the same port, one's failure may be named after the other's. A
 * connection to another port tells nothing: it is another call's, or goes to a proxy.
 */
function failureOf(event: CallEndEvent, { scheme, host, port, closed }: CallEvidence): ClientEnd | undefined {
  if (event.written) return closed;
  if (event.connectPort !== 0 && event.connectPort !== port) return undefined;
  if (event.established > 0) return scheme === 'https' ? TLS_ERROR : closed;
  if (event.connectError !== 0) return connectFailure(event.connectError, event.connectPort);
  if (event.connects > 0) return CONNECT_TIMEOUT;
  return event.spawned && isName(host) ? NAME_ERROR : undefined;
}

const isName = (host: string | undefined) => host !== undefined && isIP(host) === 0;
