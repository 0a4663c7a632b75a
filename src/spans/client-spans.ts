import { type AttributeKey, attributeKey } from '../base/attribute-key.ts';
import type { CallEndEvent, CallEvent, ClientResponseEvent, RequestEvent } from '../events/events.ts';
import { clientAttributes, HTTP_METHODS, isKnownMethod } from './client-attributes.ts';
import {
  AGENT_STOPPED,
  AGENT_TIMEOUT,
  type ClientEnd,
  CONNECTION_CLOSED,
  CONNECTION_LOST,
  callEnd,
  closedEnd,
  PROCESS_EXIT,
  RESPONSE_NOT_SEEN,
} from './client-end.ts';
import { isCut, type OpenRequest, openRequest, takePart, writtenOn } from './client-request.ts';
import { callTarget, defaultPort, serverOf, wireTarget } from './client-url.ts';
import type { WallClock } from './clock.ts';
import { keyOf, MAX_UNANSWERED, OpenTable } from './open-table.ts';
import { Redirects } from './redirects.ts';
import { parseRequestHead, parseResponseHeaders, type RequestHead } from './request-head.ts';
import { rpcAttributes, rpcSpanName } from './rpc-attributes.ts';
import { pushResponseHeaders, spanName } from './server-attributes.ts';
import { type Scope, SPAN_KIND, type SpanRecord, STATUS, type TracedProcess } from './span.ts';

/** What the CLIENT spans of one process need to know of it. */
export interface ClientContext {
  readonly process: TracedProcess;
  /** Of requests whose caller is known. */
  readonly callScope: Scope;
  /** Of requests that only their bytes tell of. */
  readonly wireScope: Scope;
  /** Of remote procedure calls. */
  readonly rpcScope: Scope;
}

export interface ClientSpanOptions {
  readonly clock: WallClock;
  readonly contextOf: (pid: number) => ClientContext | undefined;
  readonly emit: (span: SpanRecord) => void;
  readonly knownMethods: ReadonlySet<string>;
  readonly captureRequest: ReadonlySet<string> | undefined;
  readonly captureResponse: ReadonlySet<string> | undefined;
  /** Keys that a gRPC status goes under. */
  readonly statusKeys: readonly AttributeKey[];
  /** A request without an answer for so long is given up. */
  readonly timeoutNs: number;
}

/** Every way a client request or its span is lost here. All only grow. */
export interface ClientSpanLosses {
  malformedHeads: number;
  /** Requests of calls whose beginning is not known, with nothing else to make a span of. */
  requestsWithoutCall: number;
  unmatchedResponses: number;
  unknownProcess: number;
  openLimit: number;
  /** Spans whose `url.full` lacks its end. */
  cutUrls: number;
}

const LOCATION: ReadonlySet<string> = new Set(['location']);
const END_REASON = attributeKey('otel_rust.end_reason');

/** Open requests are bounded: about 1 KB each. */
const MAX_OPEN = 50_000;
const MAX_IGNORED = 10_000;
/**
 * The task that drives a connection closes it a little after it has told the caller of its end. And a response may be
 * read after the connection was reset behind it.
 */
const MAX_WAIT_NS = 1e9;
/** Power of two. Calls end in about the order in which they begin. */
const ENDED = 16_384;

/** Makes CLIENT spans: of calls, which their callers begin and end, and of requests seen on the wire alone. */
export class ClientSpans {
  readonly losses: ClientSpanLosses = {
    malformedHeads: 0,
    requestsWithoutCall: 0,
    unmatchedResponses: 0,
    unknownProcess: 0,
    openLimit: 0,
    cutUrls: 0,
  };
  readonly #options: ClientSpanOptions;
  readonly #calls = new OpenTable<OpenRequest>();
  /** By connection and sequence. */
  readonly #wire = new OpenTable<OpenRequest>();
  /** Calls and wire requests (negative) without a span: their responses are expected. */
  readonly #ignored = new Set<number>();
  /** Numbers of calls that have ended, by their lower bits: one never begins again. */
  readonly #ended = new Float64Array(ENDED);
  readonly #redirects = new Redirects();

  constructor(options: ClientSpanOptions) {
    this.#options = options;
  }

  get openCount(): number {
    return this.#calls.size + this.#wire.size;
  }

  call(event: CallEvent): void {
    const call = event.connection;
    if (this.#hasBegun(call)) return;
    const context = this.#admit(event.pid, call);
    if (!context) return;
    const target = callTarget(event.scheme, event.authority, event.path);
    const scope = event.channel ? context.rpcScope : context.callScope;
    const open = openRequest(event, context.process, scope, target);
    open.channel = event.channel;
    open.method = HTTP_METHODS[event.method];
    open.resends = this.#redirects.resends(event, target);
    open.cut = event.cut;
    this.#calls.set(call, open);
  }

  request(event: RequestEvent): void {
    const call = event.socket;
    const head = this.#headOf(event);
    if (call === 0) {
      this.#wireRequest(event, head, this.#wire, keyOf(event.connection, event.sequence));
      return;
    }
    const open = this.#calls.get(call);
    if (open) this.#written(open, event, head);
    else if (this.#hasBegun(call)) return;
    else if (event.head === '') {
      this.losses.requestsWithoutCall++;
      this.#ignore(call);
    } else this.#wireRequest(event, head, this.#calls, call);
  }

  response(event: ClientResponseEvent): void {
    const open = this.#takeAnswered(event);
    if (!open) return;
    open.peerAddress ??= event.peerAddress;
    open.peerPort ||= event.peerPort;
    const { status } = event;
    this.#noteRedirect(open, status, event);
    this.#finish(open, event.timeNs, status, status >= 400 ? `${status}` : undefined, undefined, event.head);
  }

  /** What is known of a call that a stream of HTTP/2 carries from here on. */
  readonly takeForStream = (call: number): OpenRequest | undefined => {
    this.#ignored.delete(call);
    this.#ended[call & (ENDED - 1)] = call;
    return this.#calls.take(call);
  };

  readonly redirected: Redirects['note'] = (...redirect) => this.#redirects.note(...redirect);

  /** A call's library may try again; to a request that is only seen on the wire a response may still be read. */
  closed(event: ClientResponseEvent): void {
    const end = event.lost ? CONNECTION_LOST : event.exiting ? PROCESS_EXIT : closedEnd(event.error);
    const open = event.call === 0 ? undefined : this.#calls.get(event.call);
    if (open && !event.lost && open.connection === event.connection) this.#callClosed(open, event.call, end);
    for (let i = Math.max(0, event.sequence - MAX_UNANSWERED); i < event.sequence; i++) {
      const key = keyOf(event.connection, i);
      const request = this.#wire.get(key);
      if (!request) {
        this.#ignored.delete(-key);
      } else if (event.lost) {
        this.#wire.take(key);
        this.#giveUp(request, event.timeNs, end);
      } else if (request.endedNs === 0) {
        request.endedNs = event.timeNs;
        request.closed = end;
      }
    }
  }

  callEnd(event: CallEndEvent): void {
    const call = event.connection;
    const open = this.#calls.get(call);
    if (!open) {
      this.#ignored.delete(call);
      return;
    }
    const { scheme, authority } = open.target;
    const { address: host, port = defaultPort(scheme) } = serverOf(authority);
    const evidence = { scheme, host, port, closed: open.closed };
    const end = callEnd(event, evidence);
    if (end === RESPONSE_NOT_SEEN && event.written) {
      open.endedNs = event.timeNs;
      return;
    }
    this.#takeCall(call);
    this.#giveUp(open, event.timeNs, end);
  }

  processEnded(pid: number, timeNs: number): void {
    this.#giveUpAll(timeNs, PROCESS_EXIT, (open) => open.pid === pid);
  }

  /** To be called about once a second. */
  expire(nowNs: number): void {
    const limit = nowNs - this.#options.timeoutNs;
    const waited = nowNs - MAX_WAIT_NS;
    this.#giveUpAll(nowNs, RESPONSE_NOT_SEEN, ({ endedNs }) => endedNs !== 0 && endedNs <= waited);
    this.#giveUpAll(nowNs, AGENT_TIMEOUT, (open) => open.startNs <= limit);
  }

  /** Ends what is open when the agent stops. */
  stop(nowNs: number): void {
    this.#giveUpAll(nowNs, AGENT_STOPPED, () => true);
  }

  #noteRedirect(open: OpenRequest, status: number, { head, timeNs }: ClientResponseEvent): void {
    if (head === '' || status >= 400) return;
    const [location] = parseResponseHeaders(head, LOCATION)?.get('location') ?? [];
    if (location !== undefined) this.#redirects.note(open, status, location, timeNs);
  }

  #callClosed(open: OpenRequest, call: number, end: ClientEnd): void {
    open.closed = end;
    if (open.endedNs === 0) return;
    this.#takeCall(call);
    this.#giveUp(open, open.endedNs, end);
  }

  #giveUpAll(timeNs: number, end: ClientEnd, which: (open: OpenRequest) => boolean): void {
    for (const [call, open] of this.#calls.entries()) {
      if (!which(open)) continue;
      this.#takeCall(call);
      this.#giveUpLate(open, timeNs, end);
    }
    for (const [key, open] of this.#wire.entries()) {
      if (!which(open)) continue;
      this.#wire.take(key);
      this.#giveUpLate(open, timeNs, end);
    }
  }

  #hasBegun(call: number): boolean {
    return this.#calls.get(call) !== undefined || this.#hasEnded(call) || this.#ignored.has(call);
  }

  #hasEnded(call: number): boolean {
    return this.#ended[call & (ENDED - 1)] === call;
  }

  #takeCall(call: number): OpenRequest | undefined {
    const open = this.#calls.take(call);
    if (open) this.#ended[call & (ENDED - 1)] = call;
    return open;
  }

  #takeAnswered({ call, connection, sequence }: ClientResponseEvent): OpenRequest | undefined {
    const key = keyOf(connection, sequence);
    const open = call === 0 ? this.#wire.take(key) : this.#takeCall(call);
    if (open) return open;
    if (this.#ignored.delete(call === 0 ? -key : call)) return undefined;
    if (call === 0 || !this.#hasEnded(call)) this.losses.unmatchedResponses++;
    return undefined;
  }

  #ignore(key: number): void {
    if (this.#ignored.size >= MAX_IGNORED) this.#ignored.clear();
    this.#ignored.add(key);
  }

  /** The process of a new request; `key`: under which its response is ignored when there is none, or no room. */
  #admit(pid: number, key: number): ClientContext | undefined {
    const context = this.#options.contextOf(pid);
    if (context && this.openCount < MAX_OPEN) return context;
    if (context) this.losses.openLimit++;
    else this.losses.unknownProcess++;
    this.#ignore(key);
    return undefined;
  }

  #headOf({ head, headSize }: RequestEvent): RequestHead | undefined {
    if (head === '') return undefined;
    return parseRequestHead(head, head.length >= headSize, this.#options.captureRequest);
  }

  /** A request without its caller, or one whose call's beginning was lost. */
  #wireRequest(
    event: RequestEvent,
    head: RequestHead | undefined,
    table: OpenTable<OpenRequest>,
    key: number,
  ): void {
    const ignoredKey = table === this.#calls ? key : -key;
    if (!head) {
      this.losses.malformedHeads++;
      this.#ignore(ignoredKey);
      return;
    }
    const context = this.#admit(event.pid, ignoredKey);
    if (!context) return;
    const target = wireTarget(head.method, head.target, head.host ?? '', event.tls);
    const scope = table === this.#calls ? context.callScope : context.wireScope;
    const open = openRequest(event, context.process, scope, target);
    open.startNs = event.startNs;
    open.resends = this.#redirects.resends(event, target);
    open.method = head.method;
    open.cut = isCut(event, head);
    writtenOn(open, event, head);
    table.set(key, open);
  }

  /** The head of a call goes out, perhaps once more. */
  #written(open: OpenRequest, event: RequestEvent, head: RequestHead | undefined): void {
    if (event.resend) {
      this.#giveUp(open, event.startNs, open.closed ?? CONNECTION_CLOSED);
      open.spanId0 = event.spanId0;
      open.spanId1 = event.spanId1;
      open.startNs = event.startNs;
      open.resends++;
    }
    if (event.ownContext) takePart(open, event);
    if (head) {
      open.method ??= head.method;
      if (open.cut && head.target.startsWith('/')) {
        open.target = { ...open.target, path: head.target };
        open.cut = isCut(event, head);
      }
    }
    writtenOn(open, event, head);
  }

  /** One that had ended before has waited for a reason, or for a response, in vain. */
  #giveUpLate(open: OpenRequest, timeNs: number, end: ClientEnd): void {
    if (open.endedNs === 0) this.#giveUp(open, timeNs, end);
    else this.#giveUp(open, open.endedNs, open.closed ?? RESPONSE_NOT_SEEN);
  }

  #giveUp(open: OpenRequest, timeNs: number, end: ClientEnd): void {
    this.#finish(open, timeNs, 0, end.failed ? end.reason : undefined, end, '');
  }

  #finish(
    open: OpenRequest,
    endNs: number,
    status: number,
    error: string | undefined,
    end: ClientEnd | undefined,
    responseHead: string,
  ): void {
    const { clock, emit, knownMethods, captureResponse, statusKeys } = this.#options;
    const attributes = open.channel
      ? rpcAttributes(open, statusKeys, undefined, error) // no stream has carried it: no status was told
      : clientAttributes(open, knownMethods, status, error);
    const headers =
      captureResponse && responseHead !== '' && parseResponseHeaders(responseHead, captureResponse);
    if (headers) pushResponseHeaders(attributes, headers);
    if (end) attributes.push(END_REASON, end.reason);
    if (open.cut) this.losses.cutUrls++;
    const startsAt = clock.at(open.startNs);
    const endsAt = clock.at(Math.max(endNs, open.startNs));
    emit({
      process: open.process,
      scope: open.scope,
      kind: SPAN_KIND.client,
      name: open.channel
        ? rpcSpanName(open.target)
        : spanName(open.method ?? '', isKnownMethod(open.method, knownMethods), undefined),
      traceId0: open.traceId0,
      traceId1: open.traceId1,
      traceId2: open.traceId2,
      traceId3: open.traceId3,
      spanId0: open.spanId0,
      spanId1: open.spanId1,
      parentId0: open.parentId0,
      parentId1: open.parentId1,
      parentIsRemote: false,
      traceState: undefined,
      traceFlags: open.traceFlags,
      startUnixSeconds: startsAt.seconds,
      startNanoseconds: startsAt.nanoseconds,
      endUnixSeconds: endsAt.seconds,
      endNanoseconds: endsAt.nanoseconds,
      status: error === undefined ? STATUS.unset : STATUS.error,
      statusMessage: end?.message,
      attributes,
      events: undefined,
    });
  }
}
