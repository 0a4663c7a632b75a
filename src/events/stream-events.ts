import type { AddressTexts } from './address.ts';
import { EVENT_FLAG, eventHeader as H, eventStream as S } from './layout.ts';
import { type EventHeader, u64 } from './record.ts';
import { readFields, type StreamFields } from './stream-fields.ts';

export type { StreamHeader } from './stream-fields.ts';

/** Of an HTTP/2 stream: `connection` is the address of the connection's streams, `sequence` the stream's number. */
export interface StreamEvent extends EventHeader, StreamFields {
  /** One of EVENT_KIND. */
  readonly kind: number;
  /** The process is the client of what was sent or received. */
  readonly client: boolean;
  readonly local: boolean;
  readonly tls: boolean;
  readonly exiting: boolean;
  readonly hasParent: boolean;
  /** As in RequestEvent. */
  readonly ownContext: boolean;
  /** Headers were left out for want of room. */
  readonly cut: boolean;
  /** Number of the socket below, 0 when unknown. */
  readonly socket: number;
  /** Of a client's request: number of its call, 0 when unknown. */
  readonly call: number;
  readonly traceId0: number;
  readonly traceId1: number;
  readonly traceId2: number;
  readonly traceId3: number;
  readonly spanId0: number;
  readonly spanId1: number;
  readonly parentId0: number;
  readonly parentId1: number;
  readonly traceFlags: number;
  readonly peerAddress: string | undefined;
  readonly peerPort: number;
  readonly status: number;
  /** Of a reset: error code, RFC 9113 §7. */
  readonly reason: number;
  /** Of a request: tag of http::Method. */
  readonly methodTag: number;
}

/** undefined for a record whose fields don't add up to its size. */
export function readStream(
  view: DataView,
  bytes: Buffer,
  at: number,
  size: number,
  addresses: AddressTexts,
): StreamEvent | undefined {
  const flags = view.getUint16(at + H.flags, true);
  const dataSize = view.getUint16(at + S.dataSize, true);
  const start = at + S.size;
  const fields = S.size + dataSize > size ? undefined : readFields(view, bytes, start, start + dataSize);
  if (!fields) return undefined;
  return {
    timeNs: u64(view, at + H.timeNs),
    connection: u64(view, at + H.connection),
    task: u64(view, at + H.task),
    pid: view.getUint32(at + H.tgid, true),
    tid: view.getUint32(at + H.tid, true),
    sequence: view.getUint32(at + H.sequence, true),
    kind: view.getUint16(at + H.kind, true),
    client: (flags & EVENT_FLAG.CLIENT) !== 0,
    local: (flags & EVENT_FLAG.LOCAL) !== 0,
    tls: (flags & EVENT_FLAG.TLS) !== 0,
    exiting: (flags & EVENT_FLAG.EXITING) !== 0,
    hasParent: (flags & EVENT_FLAG.HAS_PARENT) !== 0,
    ownContext: (flags & EVENT_FLAG.OWN_CONTEXT) !== 0,
    cut: (flags & EVENT_FLAG.CUT) !== 0,
    socket: u64(view, at + S.socket),
    call: u64(view, at + S.call),
    traceId0: view.getInt32(at + S.traceId, false),
    traceId1: view.getInt32(at + S.traceId + 4, false),
    traceId2: view.getInt32(at + S.traceId + 8, false),
    traceId3: view.getInt32(at + S.traceId + 12, false),
    spanId0: view.getInt32(at + S.spanId, false),
    spanId1: view.getInt32(at + S.spanId + 4, false),
    parentId0: view.getInt32(at + S.parentId, false),
    parentId1: view.getInt32(at + S.parentId + 4, false),
    traceFlags: view.getUint8(at + S.traceFlags),
    peerAddress: addresses.read(view, at + S.peerAddress, view.getUint16(at + S.family, true)),
    peerPort: view.getUint16(at + S.peerPort, true),
    status: view.getUint16(at + S.status, true),
    reason: view.getUint32(at + S.reason, true),
    methodTag: view.getUint8(at + S.method),
    method: fields.method,
    scheme: fields.scheme,
    authority: fields.authority,
    path: fields.path,
    protocol: fields.protocol,
    headers: fields.headers,
    routes: fields.routes,
    cutTarget: fields.cutTarget,
  };
}
