import type { CallEvent, RequestEvent } from '../events/events.ts';
import type { ClientFacts, Headers } from './client-attributes.ts';
import type { ClientEnd } from './client-end.ts';
import type { ClientTarget } from './client-url.ts';
import type { Caller } from './redirects.ts';
import type { RequestHead } from './request-head.ts';
import type { Scope, TracedProcess } from './span.ts';

/** The attempt under way of one request. Identifiers as in an event. */
export interface OpenRequest extends ClientFacts, Caller {
  readonly process: TracedProcess;
  readonly scope: Scope;
  traceId0: number;
  traceId1: number;
  traceId2: number;
  traceId3: number;
  spanId0: number;
  spanId1: number;
  parentId0: number;
  parentId1: number;
  traceFlags: number;
  startNs: number;
  /** That carries it; 0 when it was not written yet. */
  connection: number;
  /** How that connection ended. */
  closed: ClientEnd | undefined;
  /** When its caller was done with it, while the reason is still to come; else 0. */
  endedNs: number;
  /** Its target is not known to the end. */
  cut: boolean;
  /** A remote procedure call: only its path is known. */
  channel: boolean;
  method: string | undefined;
  target: ClientTarget;
  resends: number;
  peerAddress: string | undefined;
  peerPort: number;
  version: string | undefined;
  requestHeaders: Headers | undefined;
}

export function openRequest(
  event: CallEvent | RequestEvent,
  process: TracedProcess,
  scope: Scope,
  target: ClientTarget,
): OpenRequest {
  return {
    process,
    scope,
    pid: event.pid,
    task: event.task,
    tid: event.tid,
    traceId0: event.traceId0,
    traceId1: event.traceId1,
    traceId2: event.traceId2,
    traceId3: event.traceId3,
    spanId0: event.spanId0,
    spanId1: event.spanId1,
    parentId0: event.parentId0,
    parentId1: event.parentId1,
    traceFlags: event.traceFlags,
    startNs: event.timeNs,
    connection: 0,
    closed: undefined,
    endedNs: 0,
    cut: false,
    channel: false,
    method: undefined,
    target,
    resends: 0,
    peerAddress: undefined,
    peerPort: 0,
    version: undefined,
    requestHeaders: undefined,
  };
}

/** The program has given this request a context of another trace. */
export function takePart(open: OpenRequest, event: RequestEvent): void {
  open.traceId0 = event.traceId0;
  open.traceId1 = event.traceId1;
  open.traceId2 = event.traceId2;
  open.traceId3 = event.traceId3;
  open.parentId0 = event.parentId0;
  open.parentId1 = event.parentId1;
  open.traceFlags = event.traceFlags;
}

/** hyper's encoder writes 1.1 unless the caller sets 1.0 on its request, which a record without a head hides. */
export function writtenOn(open: OpenRequest, event: RequestEvent, head: RequestHead | undefined): void {
  open.connection = event.connection;
  open.closed = undefined;
  open.peerAddress = event.peerAddress;
  open.peerPort = event.peerPort;
  open.version = head?.version ?? '1.1';
  open.requestHeaders = head?.captured;
}

/** The capture ended inside the request line. */
export function isCut(event: RequestEvent, { method, target }: RequestHead): boolean {
  return (
    event.head.length < event.headSize && method.length + target.length + 1 >= event.head.trimStart().length
  );
}
