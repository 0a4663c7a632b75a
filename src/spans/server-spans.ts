import { attributeKey } from '../base/attribute-key.ts';
import type { ClosedEvent, EventHeader, PieceEvent, RequestEvent, ResponseEvent } from '../events/events.ts';
import type { WallClock } from './clock.ts';
import { keyOf, MAX_UNANSWERED, OpenTable } from './open-table.ts';
import { panicEvent } from './panic-event.ts';
import { parseRequestHead, parseResponseHeaders, type RequestHead } from './request-head.ts';
import { joinRoutes } from './routes.ts';
import {
  type Attributes,
  ERROR_TYPE,
  pushResponseHeaders,
  ROUTE,
  requestAttributes,
  STATUS_CODE,
  spanName,
  text,
} from './server-attributes.ts';
import { type Scope, SPAN_KIND, type SpanRecord, STATUS, type TracedProcess } from './span.ts';

/** What the spans of one process need to know of it. */
export interface ProcessContext {
  readonly process: TracedProcess;
  readonly scope: Scope;
}

export interface ServerSpanOptions {
  readonly clock: WallClock;
  readonly contextOf: (pid: number) => ProcessContext | undefined;
  readonly emit: (span: SpanRecord) => void;
  readonly knownMethods: ReadonlySet<string>;
  readonly captureRequest: ReadonlySet<string> | undefined;
  readonly captureResponse: ReadonlySet<string> | undefined;
  /** A request without an answer for so long is given up. */
  readonly timeoutNs: number;
}

/** Every way a request or its span is lost here. All only grow. */
export interface ServerSpanLosses {
  malformedHeads: number;
  unmatchedResponses: number;
  unknownProcess: number;
  openLimit: number;
}

/** Why a span ended without a response. */
type Unanswered =
  | 'panic'
  | 'process_exit'
  | 'connection_closed'
  | 'connection_lost'
  | 'timeout'
  | 'agent_stopped';

/** Why a span ended that no response has ended; absent on answered ones. */
const END_REASON = attributeKey('otel_rust.end_reason');

const MESSAGES: Readonly<Record<Unanswered, string | undefined>> = {
  panic: 'the handler panicked before it answered',
  process_exit: 'the process ended before it answered',
  connection_closed: 'the connection was closed before the response',
  connection_lost: undefined,
  timeout: 'no response within the time limit of the agent',
  agent_stopped: undefined,
};

interface OpenRequest {
  readonly event: RequestEvent;
  readonly context: ProcessContext;
  readonly head: RequestHead;
  readonly known: boolean;
  readonly attributes: Attributes;
  panicAt: number;
  closing: Closing | undefined;
}

/**
 * The end of a connection under an open request. The kernel side sees a response behind the system call that writes it. By
 * then the client may have read it and closed the connection, when the thread that writes lost its CPU in between: the
 * end is told before the response.
 */
interface Closing {
  readonly timeNs: number;
  readonly routes: readonly string[];
  /** `expire` has met it: at the next time nothing is awaited any more. */
  met: boolean;
}

interface Pieces {
  text: string;
  /** A piece between was lost: what there is can't be put together. */
  gap: boolean;
}

/** Open requests are bounded: about 2 KB each. */
const MAX_OPEN = 50_000;
const MAX_PIECES = 10_000;

/** Pairs requests with their responses and makes SERVER spans of them. */
export class ServerSpans {
  readonly losses: ServerSpanLosses = {
    malformedHeads: 0,
    unmatchedResponses: 0,
    unknownProcess: 0,
    openLimit: 0,
  };
  readonly #options: ServerSpanOptions;
  readonly #open = new OpenTable<OpenRequest>();
  readonly #pieces = new Map<number, Pieces>();
  /** Open requests of the library tier by the socket below. */
  readonly #bySocket = new Map<number, number>();
  /** Requests whose head was no HTTP: their responses are expected and ignored. */
  readonly #ignored = new Set<number>();

  constructor(options: ServerSpanOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** The kernel side gives out at most 12 KiB of a head. */
  piece({ connection, head, overlap, headSize }: PieceEvent): void {
    const known = this.#pieces.get(connection);
    const text = (known?.text ?? '') + head.slice(overlap);
    if (!known && this.#pieces.size >= MAX_PIECES) this.#forgetOldestPieces();
    if (known?.gap) return;
    this.#pieces.set(connection, { text, gap: text.length !== headSize });
  }

  headDropped(connection: number): void {
    this.#pieces.delete(connection);
  }

  request(event: RequestEvent): void {
    const text = this.#headOf(event);
    const key = keyOf(event.connection, event.sequence);
    const head = parseRequestHead(text, text.length >= event.headSize, this.#options.captureRequest);
    const context = head && this.#options.contextOf(event.pid);
    if (!head || !context) {
      if (head) this.losses.unknownProcess++;
      else this.losses.malformedHeads++;
      this.#ignore(key);
      return;
    }
    if (this.#open.size >= MAX_OPEN) {
      this.losses.openLimit++;
      this.#ignore(key);
      return;
    }
    const known = this.#options.knownMethods.has(head.method);
    const attributes = requestAttributes(head, transportOf(event), this.#options.knownMethods);
    this.#open.set(key, { event, context, head, known, attributes, panicAt: 0, closing: undefined });
    if (event.source === 'library' && event.socket !== 0) this.#bySocket.set(event.socket, key);
  }

  response(event: ResponseEvent): void {
    const key = keyOf(event.connection, event.sequence);
    const open = this.#take(key);
    if (!open) {
      if (!this.#ignored.delete(key)) this.losses.unmatchedResponses++;
      return;
    }
    const { attributes } = open;
    const name = this.#nameWithRoute(open, open.closing?.routes ?? event.routes);
    attributes.push(STATUS_CODE, event.status);
    if (this.#options.captureResponse && event.head !== '') this.#pushResponseHeaders(attributes, event.head);
    const failed = event.status >= 500;
    if (failed) attributes.push(ERROR_TYPE, open.panicAt > 0 ? 'panic' : `${event.status}`);
    this.#finish(open, event.timeNs, name, failed, undefined);
  }

  closed(event: ClosedEvent): void {
    this.#pieces.delete(event.connection);
    const reason = event.lost ? 'connection_lost' : event.exiting ? 'process_exit' : 'connection_closed';
    let { routes } = event;
    for (let i = Math.max(0, event.sequence - MAX_UNANSWERED); i < event.sequence; i++) {
      const key = keyOf(event.connection, i);
      const open = this.#open.get(key);
      if (open && reason === 'connection_closed') {
        open.closing ??= { timeNs: event.timeNs, routes, met: false };
      } else if (open) {
        this.#take(key);
        this.#giveUp(open, event.timeNs, reason, routes);
      }
      if (open || this.#ignored.delete(key)) routes = [];
    }
    const key = this.#bySocket.get(event.connection);
    const open = key === undefined ? undefined : this.#take(key);
    if (open) this.#giveUp(open, event.timeNs, reason, event.routes);
  }

  /** Panics are rare; a request is the panic's when the same task has it; without tasks, when it is the thread's only one. */
  panic(event: EventHeader): void {
    const candidates: OpenRequest[] = [];
    for (const [, open] of this.#open.entries()) {
      const request = open.event;
      if (open.closing || request.pid !== event.pid || request.task !== event.task) continue;
      if (event.task !== 0 || request.tid === event.tid) candidates.push(open);
    }
    if (event.task === 0 && candidates.length > 1) return;
    for (const open of candidates) open.panicAt = event.timeNs;
  }

  processEnded(pid: number, timeNs: number): void {
    this.#giveUpAll(timeNs, 'process_exit', (open) => open.event.pid === pid);
  }

  /** To be called about once a second. */
  expire(nowNs: number): void {
    const limit = nowNs - this.#options.timeoutNs;
    this.#giveUpAll(nowNs, 'timeout', ({ event, closing }) => {
      if (!closing) return event.startNs <= limit;
      const { met } = closing;
      closing.met = true;
      return met;
    });
  }

  /** Ends what is open when the agent stops. */
  stop(nowNs: number): void {
    this.#giveUpAll(nowNs, 'agent_stopped', () => true);
  }

  #giveUpAll(timeNs: number, reason: Unanswered, which: (open: OpenRequest) => boolean): void {
    for (const [key, open] of this.#open.entries()) {
      if (!which(open)) continue;
      this.#take(key);
      if (open.closing) this.#giveUp(open, open.closing.timeNs, 'connection_closed', open.closing.routes);
      else this.#giveUp(open, timeNs, reason);
    }
  }

  /** Empty when a piece is missing; without its end when the kernel side cut it. */
  #headOf(event: RequestEvent): string {
    if (event.head.length === event.headSize && this.#pieces.size === 0) return event.head;
    const pieces = this.#pieces.get(event.connection);
    this.#pieces.delete(event.connection);
    const text = (pieces?.text ?? '') + event.head.slice(event.overlap);
    const cut = event.head === '';
    return pieces?.gap || (!cut && text.length !== event.headSize) ? '' : text;
  }

  #ignore(key: number): void {
    if (this.#ignored.size >= MAX_PIECES) this.#ignored.clear();
    this.#ignored.add(key);
  }

  #forgetOldestPieces(): void {
    for (const connection of this.#pieces.keys()) {
      this.#pieces.delete(connection);
      return;
    }
  }

  #take(key: number): OpenRequest | undefined {
    const open = this.#open.take(key);
    if (!open) return undefined;
    if (open.event.source === 'library') this.#bySocket.delete(open.event.socket);
    return open;
  }

  #pushResponseHeaders(attributes: Attributes, head: string): void {
    const headers =
      this.#options.captureResponse && parseResponseHeaders(head, this.#options.captureResponse);
    if (headers) pushResponseHeaders(attributes, headers);
  }

  /** The span's name; a route that is known becomes an attribute too. */
  #nameWithRoute(open: OpenRequest, routes: readonly string[]): string {
    const route = routes.length > 0 ? joinRoutes(routes) : undefined;
    if (route !== undefined) open.attributes.push(ROUTE, route);
    return spanName(open.head.method, open.known, route);
  }

  #giveUp(open: OpenRequest, timeNs: number, reason: Unanswered, routes: readonly string[] = []): void {
    const why = open.panicAt > 0 && reason === 'connection_closed' ? 'panic' : reason;
    const failed = why !== 'agent_stopped' && why !== 'connection_lost';
    open.attributes.push(END_REASON, why);
    if (failed) open.attributes.push(ERROR_TYPE, why);
    this.#finish(open, timeNs, this.#nameWithRoute(open, routes), failed, MESSAGES[why]);
  }

  #finish(
    open: OpenRequest,
    endNs: number,
    name: string,
    failed: boolean,
    message: string | undefined,
  ): void {
    const { event, context, head } = open;
    const { clock, emit } = this.#options;
    const start = clock.at(event.startNs);
    const end = clock.at(Math.max(endNs, event.startNs));
    emit({
      process: context.process,
      scope: context.scope,
      kind: SPAN_KIND.server,
      name,
      traceId0: event.traceId0,
      traceId1: event.traceId1,
      traceId2: event.traceId2,
      traceId3: event.traceId3,
      spanId0: event.spanId0,
      spanId1: event.spanId1,
      parentId0: event.parentId0,
      parentId1: event.parentId1,
      parentIsRemote: event.hasParent,
      traceState: event.hasParent && head.traceState ? text(head.traceState) : undefined,
      traceFlags: event.traceFlags,
      startUnixSeconds: start.seconds,
      startNanoseconds: start.nanoseconds,
      endUnixSeconds: end.seconds,
      endNanoseconds: end.nanoseconds,
      status: failed ? STATUS.error : STATUS.unset,
      statusMessage: failed ? message : undefined,
      attributes: open.attributes,
      events: open.panicAt > 0 ? [panicEvent(clock.at(open.panicAt))] : undefined,
    });
  }
}

function transportOf(event: RequestEvent) {
  return {
    tls: event.source === 'socket' || event.socket !== 0 ? event.tls : undefined,
    peerAddress: event.peerAddress,
    peerPort: event.peerPort,
  };
}
