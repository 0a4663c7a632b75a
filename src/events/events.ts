import { AddressTexts } from './address.ts';
import { type CheckEvent, readCheck } from './check-events.ts';
import {
  type CallEndEvent,
  type CallEvent,
  type ClientResponseEvent,
  readCall,
  readCallEnd,
  readClientResponse,
} from './client-events.ts';
import {
  eventCall as C,
  eventCallEnd as E,
  EVENT_FLAG,
  EVENT_KIND,
  EVENT_SOURCE,
  eventCheck,
  eventStream,
  eventHeader as H,
  MAX_ROUTES,
  eventRequest as Q,
  eventClientResponse as R,
  eventResponse as S,
} from './layout.ts';
import { type EventHeader, readHeader, u64 } from './record.ts';
import { readStream, type StreamEvent } from './stream-events.ts';

export type { CheckEvent } from './check-events.ts';
export type { CallEndEvent, CallEvent, ClientResponseEvent } from './client-events.ts';
export type { EventHeader } from './record.ts';
export type { StreamEvent, StreamHeader } from './stream-events.ts';

/** Identifiers as big-endian 32-bit words, signed. */
export interface RequestEvent extends EventHeader {
  readonly startNs: number;
  /**
   * Number of the socket's connection; the same as `connection` when the socket tier reports. Of a client: number
   * of the call, 0 when nothing is known of one.
   */
  readonly socket: number;
  readonly source: 'socket' | 'library';
  readonly tls: boolean;
  /** Of a client: the call was written before, on a connection that failed. */
  readonly resend: boolean;
  /** Of a client: the program gave it a context of another trace, which is the one here. */
  readonly ownContext: boolean;
  readonly traceId0: number;
  readonly traceId1: number;
  readonly traceId2: number;
  readonly traceId3: number;
  readonly spanId0: number;
  readonly spanId1: number;
  readonly parentId0: number;
  readonly parentId1: number;
  readonly hasParent: boolean;
  readonly traceFlags: number;
  readonly peerAddress: string | undefined;
  readonly peerPort: number;
  /** Bytes of the whole head, all pieces. */
  readonly headSize: number;
  /** This record's part of the head, a character a byte. */
  readonly head: string;
  /** Leading bytes of `head` that an earlier piece brought too. */
  readonly overlap: number;
}

export interface PieceEvent {
  readonly connection: number;
  /** Bytes of the head up to the end of this piece. */
  readonly headSize: number;
  readonly head: string;
  readonly overlap: number;
}

export interface ResponseEvent extends EventHeader {
  readonly status: number;
  /** Templates of the routers that the request has passed, outermost first. */
  readonly routes: readonly string[];
  /** The response's head, when it is captured; else empty. */
  readonly head: string;
}

export interface ClosedEvent extends EventHeader {
  /** Of the first request without an answer. */
  readonly routes: readonly string[];
  readonly exiting: boolean;
  readonly lost: boolean;
}

/**
 * TLS begins, the process being the server or the client; a blocking client makes its first call; a call is made, or a
 * stream's route passed, in a program whose tasks inherit nothing so far.
 */
export type Needed = 'server' | 'client' | 'blocking' | 'tasks';

export interface EventHandlers {
  readonly request: (event: RequestEvent) => void;
  readonly piece: (event: PieceEvent) => void;
  readonly headDropped: (connection: number) => void;
  readonly response: (event: ResponseEvent) => void;
  readonly closed: (event: ClosedEvent) => void;
  readonly exec: (event: EventHeader) => void;
  readonly exit: (event: EventHeader) => void;
  readonly panic: (event: EventHeader) => void;
  /** Of probes that are parked while nothing needs them, those of this process are needed. */
  readonly needed: (event: EventHeader, what: Needed) => void;
  readonly call: (event: CallEvent) => void;
  readonly clientRequest: (event: RequestEvent) => void;
  readonly clientResponse: (event: ClientResponseEvent) => void;
  readonly clientClosed: (event: ClientResponseEvent) => void;
  readonly callEnd: (event: CallEndEvent) => void;
  /** Of an HTTP/2 stream: EVENT_STREAM_…, EVENT_STREAMS_CLOSED. */
  readonly stream: (event: StreamEvent) => void;
  readonly check: (event: CheckEvent) => void;
  /** A record that no version of events.h explains. */
  readonly unknown: (kind: number, size: number) => void;
}

const NO_ROUTES: readonly string[] = [];
/** Records without data end behind the routes' text. */
const RESPONSE_MIN = S.routeText;

/** Hands each ring record to its handler. Sizes are checked: a record of another ABI is `unknown`. */
export function createDecoder(handlers: EventHandlers) {
  const addresses = new AddressTexts();
  return (view: DataView, bytes: Buffer, at: number, size: number): void => {
    const kind = size >= H.size ? view.getUint16(at + H.kind, true) : 0;
    if (size < (SMALLEST[kind] ?? Number.POSITIVE_INFINITY)) handlers.unknown(kind, size);
    else if (kind === EVENT_KIND.REQUEST) handlers.request(readRequest(view, bytes, at, addresses));
    else if (kind === EVENT_KIND.RESPONSE) handlers.response(readResponse(view, bytes, at));
    else if (kind === EVENT_KIND.CALL) handlers.call(readCall(view, bytes, at));
    else if (isStream(kind)) {
      const event = readStream(view, bytes, at, size, addresses);
      if (event) handlers.stream(event);
      else handlers.unknown(kind, size);
    } else if (kind === EVENT_KIND.CLIENT_REQUEST)
      handlers.clientRequest(readRequest(view, bytes, at, addresses));
    else if (kind === EVENT_KIND.CLIENT_RESPONSE)
      handlers.clientResponse(readClientResponse(view, bytes, at, addresses));
    else if (kind === EVENT_KIND.CLIENT_CLOSED)
      handlers.clientClosed(readClientResponse(view, bytes, at, addresses));
    else if (kind === EVENT_KIND.CALL_END) handlers.callEnd(readCallEnd(view, at));
    else if (kind === EVENT_KIND.CLOSED) handlers.closed(readClosed(view, bytes, at));
    else if (kind === EVENT_KIND.HEAD_PIECE) handlers.piece(readPiece(view, bytes, at));
    else if (kind === EVENT_KIND.HEAD_DROPPED) handlers.headDropped(u64(view, at + H.connection));
    else if (kind === EVENT_KIND.EXEC) handlers.exec(readHeader(view, at));
    else if (kind === EVENT_KIND.EXIT) handlers.exit(readHeader(view, at));
    else if (kind === EVENT_KIND.CHECK) handlers.check(readCheck(view, bytes, at));
    else if (kind === EVENT_KIND.PANIC) handlers.panic(readHeader(view, at));
    else handlers.needed(readHeader(view, at), readNeeded(view, at));
  };
}

function readNeeded(view: DataView, at: number): Needed {
  if (hasFlag(view, at, EVENT_FLAG.BLOCKING)) return 'blocking';
  if (hasFlag(view, at, EVENT_FLAG.TASKS)) return 'tasks';
  return hasFlag(view, at, EVENT_FLAG.CLIENT) ? 'client' : 'server';
}

const isStream = (kind: number) => kind >= EVENT_KIND.STREAM_REQUEST && kind <= EVENT_KIND.STREAMS_CLOSED;

/** Bytes of the smallest record of each kind that is known. */
const SMALLEST: readonly (number | undefined)[] = Object.assign([], {
  [EVENT_KIND.REQUEST]: Q.size,
  [EVENT_KIND.HEAD_PIECE]: Q.size,
  [EVENT_KIND.HEAD_DROPPED]: H.size,
  [EVENT_KIND.RESPONSE]: RESPONSE_MIN,
  [EVENT_KIND.CLOSED]: RESPONSE_MIN,
  [EVENT_KIND.EXEC]: H.size,
  [EVENT_KIND.EXIT]: H.size,
  [EVENT_KIND.PANIC]: H.size,
  [EVENT_KIND.NEEDED]: H.size,
  [EVENT_KIND.CALL]: C.size,
  [EVENT_KIND.CLIENT_REQUEST]: Q.size,
  [EVENT_KIND.CLIENT_RESPONSE]: R.size,
  [EVENT_KIND.CLIENT_CLOSED]: R.size,
  [EVENT_KIND.CALL_END]: E.size,
  [EVENT_KIND.STREAM_REQUEST]: eventStream.size,
  [EVENT_KIND.STREAM_RESPONSE]: eventStream.size,
  [EVENT_KIND.STREAM_TRAILERS]: eventStream.size,
  [EVENT_KIND.STREAM_RESET]: eventStream.size,
  [EVENT_KIND.STREAMS_CLOSED]: eventStream.size,
  [EVENT_KIND.CHECK]: eventCheck.size,
});

const hasFlag = (view: DataView, at: number, flag: number) =>
  (view.getUint16(at + H.flags, true) & flag) !== 0;

function readPiece(view: DataView, bytes: Buffer, at: number): PieceEvent {
  return {
    connection: u64(view, at + H.connection),
    head: headText(view, bytes, at),
    overlap: view.getUint16(at + Q.dataOverlap, true),
    headSize: view.getUint32(at + Q.headSize, true),
  };
}

function headText(view: DataView, bytes: Buffer, at: number): string {
  const start = at + Q.size;
  return bytes.toString('latin1', start, start + view.getUint16(at + Q.dataSize, true));
}

function readRequest(view: DataView, bytes: Buffer, at: number, addresses: AddressTexts): RequestEvent {
  const flags = view.getUint16(at + H.flags, true);
  return {
    timeNs: u64(view, at + H.timeNs),
    connection: u64(view, at + H.connection),
    task: u64(view, at + H.task),
    pid: view.getUint32(at + H.tgid, true),
    tid: view.getUint32(at + H.tid, true),
    sequence: view.getUint32(at + H.sequence, true),
    startNs: u64(view, at + Q.startNs),
    socket: u64(view, at + Q.socket),
    source: view.getUint8(at + Q.source) === EVENT_SOURCE.LIBRARY ? 'library' : 'socket',
    tls: (flags & EVENT_FLAG.TLS) !== 0,
    resend: (flags & EVENT_FLAG.RESEND) !== 0,
    ownContext: (flags & EVENT_FLAG.OWN_CONTEXT) !== 0,
    traceId0: view.getInt32(at + Q.traceId, false),
    traceId1: view.getInt32(at + Q.traceId + 4, false),
    traceId2: view.getInt32(at + Q.traceId + 8, false),
    traceId3: view.getInt32(at + Q.traceId + 12, false),
    spanId0: view.getInt32(at + Q.spanId, false),
    spanId1: view.getInt32(at + Q.spanId + 4, false),
    parentId0: view.getInt32(at + Q.parentId, false),
    parentId1: view.getInt32(at + Q.parentId + 4, false),
    hasParent: (flags & EVENT_FLAG.HAS_PARENT) !== 0,
    traceFlags: view.getUint8(at + Q.traceFlags),
    peerAddress: addresses.read(view, at + Q.peerAddress, view.getUint16(at + Q.family, true)),
    peerPort: view.getUint16(at + Q.peerPort, true),
    headSize: view.getUint32(at + Q.headSize, true),
    head: headText(view, bytes, at),
    overlap: view.getUint16(at + Q.dataOverlap, true),
  };
}

function readResponse(view: DataView, bytes: Buffer, at: number): ResponseEvent {
  const dataSize = view.getUint16(at + S.dataSize, true);
  const start = at + S.size;
  return {
    timeNs: u64(view, at + H.timeNs),
    connection: u64(view, at + H.connection),
    task: u64(view, at + H.task),
    pid: view.getUint32(at + H.tgid, true),
    tid: view.getUint32(at + H.tid, true),
    sequence: view.getUint32(at + H.sequence, true),
    status: view.getUint16(at + S.status, true),
    routes: readRoutes(view, bytes, at),
    head: dataSize === 0 ? '' : bytes.toString('latin1', start, start + dataSize),
  };
}

function readRoutes(view: DataView, bytes: Buffer, at: number): readonly string[] {
  const count = Math.min(view.getUint16(at + S.routeCount, true), MAX_ROUTES);
  if (count === 0) return NO_ROUTES;
  const routes: string[] = [];
  let start = at + S.routeText;
  for (let i = 0; i < count; i++) {
    const end = start + view.getUint16(at + S.routeSize + 2 * i, true);
    routes.push(bytes.toString('utf8', start, end));
    start = end;
  }
  return routes;
}

function readClosed(view: DataView, bytes: Buffer, at: number): ClosedEvent {
  const flags = view.getUint16(at + H.flags, true);
  return {
    ...readHeader(view, at),
    routes: readRoutes(view, bytes, at),
    exiting: (flags & EVENT_FLAG.EXITING) !== 0,
    lost: (flags & EVENT_FLAG.LOST) !== 0,
  };
}
