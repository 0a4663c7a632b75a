import type { StreamEvent } from '../events/events.ts';
import type { OpenRequest } from './client-request.ts';
import type { ClientTarget } from './client-url.ts';
import { timeoutNs } from './grpc.ts';
import type { Caller } from './redirects.ts';
import type { RequestHead } from './request-head.ts';
import type { Scope, TracedProcess } from './span.ts';
import { headerOf } from './stream-head.ts';
import type { Placed, StreamConnection } from './stream-table.ts';

/** A request on a stream of HTTP/2, until it is answered. Identifiers as in an event. */
export interface OpenStream extends Placed, Caller {
  readonly connection: StreamConnection;
  readonly id: number;
  readonly server: boolean;
  readonly rpc: boolean;
  readonly process: TracedProcess;
  readonly scope: Scope;
  readonly traceId0: number;
  readonly traceId1: number;
  readonly traceId2: number;
  readonly traceId3: number;
  readonly spanId0: number;
  readonly spanId1: number;
  readonly parentId0: number;
  readonly parentId1: number;
  readonly parentIsRemote: boolean;
  readonly traceFlags: number;
  readonly startNs: number;
  readonly head: RequestHead;
  readonly target: ClientTarget;
  readonly tls: boolean | undefined;
  /** Its target is not known to the end. */
  readonly cut: boolean;
  readonly resends: number;
  /** `grpc-timeout`, from the start on. */
  readonly timeoutNs: number | undefined;
  peerAddress: string | undefined;
  peerPort: number;
  panicAt: number;
  /** When its caller has given up waiting, 0 while it hasn't. */
  givenUpNs: number;
  /** Number of its call, 0 when unknown. */
  readonly call: number;
}

export interface StreamPlace {
  readonly connection: StreamConnection;
  readonly rpc: boolean;
  readonly process: TracedProcess;
  readonly scope: Scope;
}

/** `call`: what is known of a client's request from its caller. */
export function openStream(
  event: StreamEvent,
  place: StreamPlace,
  head: RequestHead,
  call: OpenRequest | undefined,
): OpenStream {
  const ids = event.ownContext ? event : (call ?? event);
  return {
    connection: place.connection,
    id: event.sequence,
    server: !event.client,
    rpc: place.rpc,
    process: place.process,
    scope: place.scope,
    pid: event.pid,
    task: call?.task ?? event.task,
    tid: call?.tid ?? event.tid,
    traceId0: ids.traceId0,
    traceId1: ids.traceId1,
    traceId2: ids.traceId2,
    traceId3: ids.traceId3,
    spanId0: ids.spanId0,
    spanId1: ids.spanId1,
    parentId0: ids.parentId0,
    parentId1: ids.parentId1,
    parentIsRemote: !event.client && event.hasParent,
    traceFlags: ids.traceFlags,
    startNs: call?.startNs ?? event.timeNs,
    head,
    target: targetOf(event, head, call),
    tls: isTls(event),
    cut: call && call.target.authority !== '' ? call.cut && event.cutTarget : event.cutTarget,
    resends: call?.resends ?? 0,
    timeoutNs: timeoutNs(headerOf(event, 'grpc-timeout')),
    peerAddress: event.peerAddress,
    peerPort: event.peerPort,
    panicAt: 0,
    givenUpNs: 0,
    call: event.call,
  };
}

/** The caller's own words, which hold what the library leaves out: credentials are redacted, but shown as such. */
function targetOf(event: StreamEvent, head: RequestHead, call: OpenRequest | undefined): ClientTarget {
  const known = call?.target;
  if (known && known.authority !== '' && !call.cut) return known;
  const authority = head.host ?? known?.authority ?? '';
  if (head.method === 'CONNECT' && event.path === undefined)
    return { scheme: undefined, authority, path: '' };
  return {
    scheme: event.scheme?.toLowerCase() ?? known?.scheme,
    authority,
    path: event.path ?? known?.path ?? '',
  };
}

/** `:scheme` is the client's, which may have spoken TLS to a proxy. */
function isTls({ tls, scheme }: StreamEvent): boolean | undefined {
  if (tls || scheme === 'https') return true;
  return scheme === 'http' ? false : undefined;
}
