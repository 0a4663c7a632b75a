import type { CallEndEvent, EventHeader, StreamEvent } from '../events/events.ts';
import { EVENT_KIND } from '../events/layout.ts';
import type { OpenRequest } from './client-request.ts';
import { isGrpc } from './grpc.ts';
import { Panics } from './panics.ts';
import type { Scope, SpanRecord, TracedProcess } from './span.ts';
import { type OpenStream, openStream } from './stream.ts';
import {
  AGENT_STOPPED,
  AGENT_TIMEOUT,
  CONNECTION_LOST,
  closedEnd,
  httpEnd,
  OPEN_LIMIT,
  PROCESS_EXIT,
  resetEnd,
  rpcEnd,
  type StreamEnd,
} from './stream-end.ts';
import { capturedHeaders, headerOf, streamHead } from './stream-head.ts';
import { type Answer, NO_ANSWER, type RecordOptions, streamRecord } from './stream-record.ts';
import { type StreamConnection, StreamTable } from './stream-table.ts';

/** What the spans of one process's streams need to know of it. */
export interface StreamContext {
  readonly process: TracedProcess;
  /** Of remote procedure calls. */
  readonly rpcScope: Scope;
  /** Of HTTP requests that no call is known of. */
  readonly streamScope: Scope;
}

/** Client requests by number of their call, see ClientSpans. */
export interface Calls {
  readonly takeForStream: (call: number) => OpenRequest | undefined;
  readonly redirected: (open: OpenStream, status: number, location: string, timeNs: number) => void;
}

type Capture = ReadonlySet<string> | undefined;

export interface StreamSpanOptions extends RecordOptions {
  readonly contextOf: (pid: number) => StreamContext | undefined;
  readonly emit: (span: SpanRecord) => void;
  readonly calls: Calls;
  readonly captureServerRequest: Capture;
  readonly captureServerResponse: Capture;
  readonly captureClientRequest: Capture;
  readonly captureClientResponse: Capture;
  readonly captureRpcServer: Capture;
  readonly captureRpcClient: Capture;
  /** An HTTP request without an answer for so long is given up. A remote procedure call may take any time. */
  readonly timeoutNs: number;
}

/** All only grow. Answers to streams that are not open are none: those of unsampled requests are such. */
export interface StreamSpanLosses {
  unknownProcess: number;
  openLimit: number;
  cutUrls: number;
}

/** About 2 KB each. */
const MAX_OPEN = 50_000;
/** Of them, the oldest, that make room when there is none: what they wait for was probably lost. */
const EVICTED = MAX_OPEN / 16;
/** What was received before a socket was closed may be read for a while. */
const MAX_WAIT_NS = 1e9;

/**
 * Makes spans of HTTP/2 streams of both sides: of HTTP and of gRPC. All records of one connection are in the order
 * of what they tell: they are made while the library holds the connection's lock.
 */
export class StreamSpans {
  readonly losses: StreamSpanLosses = { unknownProcess: 0, openLimit: 0, cutUrls: 0 };
  readonly #options: StreamSpanOptions;
  readonly #table = new StreamTable<OpenStream>();
  readonly #panics = new Panics();
  /** HTTP requests by number of their call. */
  readonly #byCall = new Map<number, OpenStream>();
  /** Whose sockets are closed, with streams that are open. */
  readonly #closing = new Set<StreamConnection>();

  constructor(options: StreamSpanOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#table.size;
  }

  stream(event: StreamEvent): void {
    if (event.kind === EVENT_KIND.STREAM_REQUEST) this.#request(event);
    else if (event.kind === EVENT_KIND.STREAMS_CLOSED) this.#closed(event);
    else this.#progress(event);
  }

  /** A caller that gives up is told before its stream is reset. */
  callEnd(event: CallEndEvent): void {
    const open = event.givenUp ? this.#byCall.get(event.connection) : undefined;
    if (open) open.givenUpNs = event.timeNs;
  }

  panic(event: EventHeader): void {
    this.#panics.note(event);
  }

  processEnded(pid: number, timeNs: number): void {
    this.#endAll(timeNs, PROCESS_EXIT, (open) => open.pid === pid);
    this.#table.forgetProcess(pid);
  }

  /** To be called about once a second. */
  expire(nowNs: number): void {
    const limit = nowNs - this.#options.timeoutNs;
    this.#endAll(nowNs, AGENT_TIMEOUT, (open) => !open.rpc && open.startNs <= limit);
    for (const connection of this.#closing) {
      if (connection.closedNs > nowNs - MAX_WAIT_NS) continue;
      this.#closing.delete(connection);
      this.#endConnection(connection, connection.closedNs, 0, undefined);
    }
  }

  /** Ends what is open when the agent stops. */
  stop(nowNs: number): void {
    this.#endAll(nowNs, AGENT_STOPPED, () => true);
  }

  #request(event: StreamEvent): void {
    const call = event.call === 0 ? undefined : this.#options.calls.takeForStream(event.call);
    const context = this.#options.contextOf(event.pid);
    if (!context) {
      this.losses.unknownProcess++;
      return;
    }
    const known = this.#table.connection(event.pid, event.connection);
    if (known && known.closedNs !== 0) this.#endConnection(known, known.closedNs, 0, undefined);
    else if (known && event.sequence <= known.lastId)
      this.#endConnection(known, event.timeNs, 0, CONNECTION_LOST);
    if (this.#table.size >= MAX_OPEN) this.#evict(event.timeNs);
    const connection = this.#table.connect(event.pid, event.connection);
    connection.lastId = event.sequence;
    this.#table.carriedBy(connection, event.socket);
    const rpc = call?.channel === true || isGrpc(headerOf(event, 'content-type'));
    const scope = rpc ? context.rpcScope : (call?.scope ?? context.streamScope);
    const place = { connection, rpc, process: context.process, scope };
    const open = openStream(event, place, streamHead(event, this.#captureOf(event, rpc)), call);
    this.#table.add(open);
    if (open.call !== 0 && !rpc) this.#byCall.set(open.call, open);
  }

  #captureOf({ client }: StreamEvent, rpc: boolean): Capture {
    const options = this.#options;
    if (rpc) return client ? options.captureRpcClient : options.captureRpcServer;
    return client ? options.captureClientRequest : options.captureServerRequest;
  }

  #progress(event: StreamEvent): void {
    const open = this.#table.get(event.pid, event.connection, event.sequence);
    if (!open) return;
    this.#table.carriedBy(open.connection, event.socket);
    open.peerAddress ??= event.peerAddress;
    open.peerPort ||= event.peerPort;
    if (event.kind === EVENT_KIND.STREAM_RESET) {
      open.panicAt = this.#panicOf(open, event);
      this.#end(open, open.givenUpNs || event.timeNs, resetEnd(open, event), NO_ANSWER);
    } else if (event.client !== open.server) {
      this.#answered(open, event); // else these are the request's trailers
    }
  }

  #answered(open: OpenStream, event: StreamEvent): void {
    if (!open.rpc && event.kind === EVENT_KIND.STREAM_TRAILERS) return;
    open.panicAt ||= this.#panicOf(open, event);
    const end = open.rpc ? rpcEnd(open, event) : httpEnd(open, event.status);
    if (!end) return;
    if (!open.server && !open.rpc) this.#noteRedirect(open, event);
    const { captureServerResponse, captureClientResponse } = this.#options;
    const capture = open.server ? captureServerResponse : captureClientResponse;
    const responseHeaders = open.rpc ? undefined : capturedHeaders(event, capture);
    this.#end(open, event.timeNs, end, { routes: event.routes, responseHeaders });
  }

  #panicOf(open: OpenStream, event: StreamEvent): number {
    return open.server ? this.#panics.take(event, open.startNs) : 0;
  }

  #noteRedirect(open: OpenStream, event: StreamEvent): void {
    const location = headerOf(event, 'location');
    if (location !== undefined) this.#options.calls.redirected(open, event.status, location, event.timeNs);
  }

  /** Of a socket (then what was received may still be read) or told by the library. */
  #closed(event: StreamEvent): void {
    if (event.connection !== 0) {
      const connection = this.#table.connection(event.pid, event.connection);
      if (connection) this.#endConnection(connection, event.timeNs, event.sequence, undefined);
      return;
    }
    const connection = this.#table.ofSocket(event.socket);
    if (!connection || connection.pid !== event.pid || connection.open === 0) return;
    connection.closedNs = event.timeNs;
    this.#closing.add(connection);
  }

  /** Ends the streams above `id`; 0: the connection is gone. `end`: for all of them, else each one's own. */
  #endConnection(connection: StreamConnection, timeNs: number, id: number, end: StreamEnd | undefined): void {
    for (const open of this.#table.above(connection, id || -1))
      this.#end(open, timeNs, end ?? closedEnd(open), NO_ANSWER);
    if (id !== 0) return;
    this.#closing.delete(connection);
    this.#table.forget(connection);
  }

  #endAll(timeNs: number, end: StreamEnd, which: (open: OpenStream) => boolean): void {
    if (this.#table.size === 0) return;
    for (const open of this.#table.filter(which)) this.#end(open, timeNs, end, NO_ANSWER);
  }

  #evict(nowNs: number): void {
    const oldest = this.#table.filter(() => true).sort((a, b) => a.startNs - b.startNs);
    for (const open of oldest.slice(0, EVICTED)) {
      this.losses.openLimit++;
      this.#end(open, nowNs, OPEN_LIMIT, NO_ANSWER);
    }
  }

  #end(open: OpenStream, timeNs: number, end: StreamEnd, answer: Answer): void {
    this.#table.take(open);
    if (open.call !== 0) this.#byCall.delete(open.call);
    if (open.cut) this.losses.cutUrls++;
    this.#options.emit(streamRecord(open, timeNs, end, answer, this.#options));
  }
}
