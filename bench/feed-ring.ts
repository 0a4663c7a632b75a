import { EVENT_KIND, EVENT_SOURCE, eventHeader, eventRequest, eventResponse } from '../src/events/layout.ts';
import type { RecordHandler, RingReader } from '../src/kernel/kernel.ts';

const CONNECTIONS = 32;
const ROUTE = '/users/{id}';
/** What bench-load sends. */
const HEAD =
  'GET /users/42 HTTP/1.1\r\nHost: 127.0.0.1:39581\r\nUser-Agent: bench-load/1\r\nAccept: */*\r\n\r\n';
/** The kernel pads records to 8 bytes behind a header of 8; the contents of the header are not looked at here. */
const RECORD_HEADER = 8;
const REQUEST_SIZE = eventRequest.size + HEAD.length;
const RESPONSE_SIZE = eventResponse.size;
const slot = (size: number) => (size + RECORD_HEADER + 7) & ~7;
const LATENCY_NS = 40_000;

export const FEED_PID = 4242;

/**
 * A ring that is never empty until `count` requests have been answered: on each of 32 connections in turn a request,
 * then the responses. Records are those of the socket tier with a route, laid out as the kernel side does; only
 * what changes from one to the next is written again.
 */
export class FeedRing implements RingReader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #requests: readonly number[];
  readonly #responses: readonly number[];
  #left: number;
  #round = 0;
  #timeNs = Number(process.hrtime.bigint());
  #next = 0;

  constructor(count: number) {
    this.#left = count - (count % CONNECTIONS);
    const stride = slot(REQUEST_SIZE) + slot(RESPONSE_SIZE);
    this.#bytes = Buffer.alloc(CONNECTIONS * stride);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
    const places = Array.from(
      { length: CONNECTIONS },
      (_, index) => index * slot(REQUEST_SIZE) + RECORD_HEADER,
    );
    this.#requests = places;
    const behind = CONNECTIONS * slot(REQUEST_SIZE) + RECORD_HEADER;
    this.#responses = places.map((_, index) => behind + index * slot(RESPONSE_SIZE));
    for (let index = 0; index < CONNECTIONS; index++) this.#prepare(index);
  }

  /** Requests that are still to come. */
  get left(): number {
    return this.#left;
  }

  pending(): number {
    return this.#left * (slot(REQUEST_SIZE) + slot(RESPONSE_SIZE));
  }

  drain(onRecord: RecordHandler, limit: number): number {
    let handled = 0;
    while (handled < limit && this.#left > 0) {
      if (this.#next < CONNECTIONS) this.#request(this.#next, onRecord);
      else this.#response(this.#next - CONNECTIONS, onRecord);
      handled++;
      if (++this.#next === 2 * CONNECTIONS) {
        this.#next = 0;
        this.#round++;
      }
    }
    return handled;
  }

  #request(connection: number, onRecord: RecordHandler): void {
    const at = this.#requests[connection] as number;
    this.#stamp(at);
    this.#setTime(at + eventRequest.startNs);
    const view = this.#view;
    view.setUint32(at + eventRequest.traceId, Math.imul(this.#round, 0x9e3779b1));
    view.setUint32(at + eventRequest.traceId + 4, Math.imul(this.#round + connection, 0x85ebca6b));
    view.setUint32(at + eventRequest.spanId, Math.imul(this.#round ^ connection, 0xc2b2ae35));
    onRecord(view, this.#bytes, at, REQUEST_SIZE);
  }

  #response(connection: number, onRecord: RecordHandler): void {
    const at = this.#responses[connection] as number;
    this.#stamp(at);
    onRecord(this.#view, this.#bytes, at, RESPONSE_SIZE);
    this.#left--;
  }

  #stamp(at: number): void {
    this.#timeNs += LATENCY_NS / CONNECTIONS;
    this.#setTime(at + eventHeader.timeNs);
    this.#view.setUint32(at + eventHeader.sequence, this.#round, true);
  }

  #setTime(at: number): void {
    this.#view.setUint32(at, this.#timeNs % 0x1_0000_0000, true);
    this.#view.setUint32(at + 4, this.#timeNs / 0x1_0000_0000, true);
  }

  /** What stays the same on a connection. */
  #prepare(connection: number): void {
    const request = this.#requests[connection] as number;
    const response = this.#responses[connection] as number;
    this.#header(request, connection, EVENT_KIND.REQUEST);
    this.#header(response, connection, EVENT_KIND.RESPONSE);
    const view = this.#view;
    view.setUint32(request + eventRequest.socket, connection + 1, true);
    view.setUint8(request + eventRequest.source, EVENT_SOURCE.SOCKET);
    view.setUint8(request + eventRequest.traceFlags, 1);
    view.setUint16(request + eventRequest.family, 2, true);
    this.#bytes.set([127, 0, 0, 1], request + eventRequest.peerAddress);
    view.setUint16(request + eventRequest.peerPort, 40_000 + connection, true);
    view.setUint32(request + eventRequest.spanId + 4, connection);
    view.setUint32(request + eventRequest.headSize, HEAD.length, true);
    view.setUint16(request + eventRequest.dataSize, HEAD.length, true);
    this.#bytes.write(HEAD, request + eventRequest.size, 'latin1');
    view.setUint16(response + eventResponse.status, 200, true);
    view.setUint16(response + eventResponse.routeCount, 1, true);
    view.setUint16(response + eventResponse.routeTextSize, ROUTE.length, true);
    view.setUint16(response + eventResponse.routeSize, ROUTE.length, true);
    this.#bytes.write(ROUTE, response + eventResponse.routeText, 'latin1');
  }

  #header(at: number, connection: number, kind: number): void {
    const view = this.#view;
    view.setUint32(at + eventHeader.connection, connection + 1, true);
    view.setUint32(at + eventHeader.task, 100 + connection, true);
    view.setUint32(at + eventHeader.tgid, FEED_PID, true);
    view.setUint32(at + eventHeader.tid, FEED_PID, true);
    view.setUint16(at + eventHeader.kind, kind, true);
  }
}
