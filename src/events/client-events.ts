import type { AddressTexts } from './address.ts';
import {
  eventCall as C,
  CALL_AUTHORITY,
  CALL_PATH,
  eventCallEnd as E,
  EVENT_FLAG,
  eventHeader as H,
  eventClientResponse as R,
} from './layout.ts';
import { type EventHeader, u64 } from './record.ts';

/** A request is handed to a client library. `connection` is the number of the call. Identifiers as in a request. */
export interface CallEvent extends EventHeader {
  readonly traceId0: number;
  readonly traceId1: number;
  readonly traceId2: number;
  readonly traceId3: number;
  readonly spanId0: number;
  readonly spanId1: number;
  readonly parentId0: number;
  readonly parentId1: number;
  readonly traceFlags: number;
  /** Tag of http::Method: its place in `HTTP_METHODS`, beyond them an extension. */
  readonly method: number;
  /** One of CALL_SCHEME. */
  readonly scheme: number;
  /** One of ORPHAN. */
  readonly orphan: number;
  /** As the caller wrote it, a character a byte; may hold credentials. */
  readonly authority: string;
  /** Path and query. */
  readonly path: string;
  /** Authority or path were longer than the record's room. */
  readonly cut: boolean;
  /** To a gRPC channel, which adds scheme and authority later. */
  readonly channel: boolean;
}

/** A final response head, or the end of a connection: then `sequence` is the number of requests written. */
export interface ClientResponseEvent extends EventHeader {
  /** 0 when none; of a closed connection: that of the last request. */
  readonly call: number;
  readonly peerAddress: string | undefined;
  readonly peerPort: number;
  readonly status: number;
  /** Of a closed connection: errno of the socket, 0 for an orderly end. */
  readonly error: number;
  readonly exiting: boolean;
  readonly lost: boolean;
  /** The response's head, when it is captured; else empty. */
  readonly head: string;
}

/** A caller is done with a call that no response has ended. `connection` is the number of the call. */
export interface CallEndEvent extends EventHeader {
  /** One of FUTURE_STATE. */
  readonly state: number;
  readonly written: boolean;
  /** The client library made an error of its own just before. */
  readonly givenUp: boolean;
  /** The call's task has made tasks since it began: a name is resolved in one. */
  readonly spawned: boolean;
  /** Connects begun and done since the call began, in its task. */
  readonly connects: number;
  readonly established: number;
  /** errno of the last connect that failed, 0 when none has. */
  readonly connectError: number;
  readonly connectPort: number;
}

export function readCall(view: DataView, bytes: Buffer, at: number): CallEvent {
  const authoritySize = view.getUint16(at + C.authoritySize, true);
  const pathSize = view.getUint16(at + C.pathSize, true);
  const path = at + C.size;
  const authority = path + pathSize;
  return {
    timeNs: u64(view, at + H.timeNs),
    connection: u64(view, at + H.connection),
    task: u64(view, at + H.task),
    pid: view.getUint32(at + H.tgid, true),
    tid: view.getUint32(at + H.tid, true),
    sequence: view.getUint32(at + H.sequence, true),
    traceId0: view.getInt32(at + C.traceId, false),
    traceId1: view.getInt32(at + C.traceId + 4, false),
    traceId2: view.getInt32(at + C.traceId + 8, false),
    traceId3: view.getInt32(at + C.traceId + 12, false),
    spanId0: view.getInt32(at + C.spanId, false),
    spanId1: view.getInt32(at + C.spanId + 4, false),
    parentId0: view.getInt32(at + C.parentId, false),
    parentId1: view.getInt32(at + C.parentId + 4, false),
    traceFlags: view.getUint8(at + C.traceFlags),
    method: view.getUint8(at + C.method),
    scheme: view.getUint8(at + C.scheme),
    orphan: view.getUint8(at + C.orphan),
    authority: bytes.toString('latin1', authority, authority + authoritySize),
    path: bytes.toString('latin1', path, authority),
    cut:
      view.getUint16(at + C.fullAuthoritySize, true) > CALL_AUTHORITY ||
      view.getUint16(at + C.fullPathSize, true) > CALL_PATH,
    channel: (view.getUint16(at + H.flags, true) & EVENT_FLAG.CHANNEL) !== 0,
  };
}

export function readClientResponse(
  view: DataView,
  bytes: Buffer,
  at: number,
  addresses: AddressTexts,
): ClientResponseEvent {
  const flags = view.getUint16(at + H.flags, true);
  const dataSize = view.getUint16(at + R.dataSize, true);
  const start = at + R.size;
  return {
    timeNs: u64(view, at + H.timeNs),
    connection: u64(view, at + H.connection),
    task: u64(view, at + H.task),
    pid: view.getUint32(at + H.tgid, true),
    tid: view.getUint32(at + H.tid, true),
    sequence: view.getUint32(at + H.sequence, true),
    call: u64(view, at + R.call),
    peerAddress: addresses.read(view, at + R.peerAddress, view.getUint16(at + R.family, true)),
    peerPort: view.getUint16(at + R.peerPort, true),
    status: view.getUint16(at + R.status, true),
    error: view.getUint16(at + R.error, true),
    exiting: (flags & EVENT_FLAG.EXITING) !== 0,
    lost: (flags & EVENT_FLAG.LOST) !== 0,
    head: dataSize === 0 ? '' : bytes.toString('latin1', start, start + dataSize),
  };
}

export function readCallEnd(view: DataView, at: number): CallEndEvent {
  return {
    timeNs: u64(view, at + H.timeNs),
    connection: u64(view, at + H.connection),
    task: u64(view, at + H.task),
    pid: view.getUint32(at + H.tgid, true),
    tid: view.getUint32(at + H.tid, true),
    sequence: view.getUint32(at + H.sequence, true),
    state: view.getUint8(at + E.state),
    written: view.getUint8(at + E.written) !== 0,
    givenUp: view.getUint8(at + E.givenUp) !== 0,
    spawned: view.getUint8(at + E.spawned) !== 0,
    connects: view.getUint16(at + E.connects, true),
    established: view.getUint16(at + E.established, true),
    connectError: view.getUint16(at + E.connectError, true),
    connectPort: view.getUint16(at + E.connectPort, true),
  };
}
