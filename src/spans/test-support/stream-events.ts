import { attributeKey } from '../../base/attribute-key.ts';
import type { StreamEvent, StreamHeader } from '../../events/events.ts';
import { EVENT_KIND } from '../../events/layout.ts';
import { WallClock } from '../clock.ts';
import { KNOWN_METHODS } from '../server-attributes.ts';
import type { SpanRecord } from '../span.ts';
import { type StreamSpanOptions, StreamSpans } from '../stream-spans.ts';
import { CONTEXT, SECOND, startClient } from './client-events.ts';

export const ADDRESS = 0x7f00_1234_5678;

/** Streams of process 1 with its calls; monotonic time 0 is 1,000 s after the epoch. */
export function startStreams(options: Partial<StreamSpanOptions> = {}) {
  const spans: SpanRecord[] = [];
  const emit = (span: SpanRecord) => void spans.push(span);
  const { client } = startClient({ emit });
  let ms = 1_000_000;
  const streams = new StreamSpans({
    clock: new WallClock({ monotonicNs: () => 0, unixMs: () => ms++ }),
    contextOf: (pid) => (pid === 1 ? CONTEXT : undefined),
    emit,
    calls: client,
    knownMethods: new Set(KNOWN_METHODS),
    statusKeys: [attributeKey('rpc.response.status_code')],
    captureServerRequest: undefined,
    captureServerResponse: undefined,
    captureClientRequest: undefined,
    captureClientResponse: undefined,
    captureRpcServer: undefined,
    captureRpcClient: undefined,
    timeoutNs: 60 * SECOND,
    ...options,
  });
  return { streams, client, spans };
}

const EVENT: StreamEvent = {
  timeNs: 0,
  connection: ADDRESS,
  task: 7,
  pid: 1,
  tid: 2,
  sequence: 1,
  kind: 0,
  client: false,
  local: false,
  tls: false,
  exiting: false,
  hasParent: false,
  ownContext: false,
  cut: false,
  socket: 0,
  call: 0,
  traceId0: 0,
  traceId1: 0,
  traceId2: 0,
  traceId3: 0,
  spanId0: 0,
  spanId1: 0,
  parentId0: 0,
  parentId1: 0,
  traceFlags: 0,
  peerAddress: undefined,
  peerPort: 0,
  status: 0,
  reason: 0,
  methodTag: 0,
  method: undefined,
  scheme: undefined,
  authority: undefined,
  path: undefined,
  protocol: undefined,
  headers: [],
  routes: [],
  cutTarget: false,
};

export type More = Partial<StreamEvent>;

const GRPC: readonly StreamHeader[] = [['content-type', 'application/grpc']];

/** GET /items/7?q=1 received on stream 1, socket 3, at 2 s, with a parent. */
export const received = (more: More = {}): StreamEvent => ({
  ...EVENT,
  kind: EVENT_KIND.STREAM_REQUEST,
  timeNs: 2 * SECOND,
  socket: 3,
  hasParent: true,
  traceId0: 11,
  traceId1: 12,
  traceId2: 13,
  traceId3: 14,
  spanId0: 15,
  spanId1: 16,
  parentId0: 17,
  parentId1: 18,
  traceFlags: 1,
  peerAddress: '10.0.0.5',
  peerPort: 40_000,
  methodTag: 1,
  scheme: 'http',
  authority: 'shop.example:8080',
  path: '/items/7?q=1',
  headers: [['user-agent', 'curl/8']],
  ...more,
});

/** The same for shop.Shop/Checkout. */
export const receivedRpc = (more: More = {}): StreamEvent =>
  received({ methodTag: 2, path: '/shop.Shop/Checkout', headers: GRPC, ...more });

/** GET http://stock.example:8080/items given to the connection at 3 s, of no known call. */
export const sent = (more: More = {}): StreamEvent =>
  received({
    client: true,
    timeNs: 3 * SECOND,
    socket: 0,
    peerAddress: undefined,
    peerPort: 0,
    authority: 'stock.example:8080',
    path: '/items',
    ...more,
  });

export const sentRpc = (more: More = {}): StreamEvent =>
  sent({ methodTag: 2, path: '/stock.Stock/Reserve', headers: GRPC, ...more });

/** At 4 s, of a server; in the task that handles the request. */
export const response = (status: number, more: More = {}): StreamEvent => ({
  ...EVENT,
  kind: EVENT_KIND.STREAM_RESPONSE,
  timeNs: 4 * SECOND,
  task: 8,
  status,
  ...more,
});

export const rpcResponse = (more: More = {}): StreamEvent => response(200, { headers: GRPC, ...more });

/** At 5 s. */
export const trailers = (status: string, more: More = {}): StreamEvent => ({
  ...EVENT,
  kind: EVENT_KIND.STREAM_TRAILERS,
  timeNs: 5 * SECOND,
  task: 8,
  headers: [['grpc-status', status]],
  ...more,
});

/** At 5 s. */
export const reset = (reason: number, more: More = {}): StreamEvent => ({
  ...EVENT,
  kind: EVENT_KIND.STREAM_RESET,
  timeNs: 5 * SECOND,
  task: 8,
  reason,
  ...more,
});

/** At 6 s: the whole connection, or what is above `sequence`. */
export const streamsClosed = (more: More = {}): StreamEvent => ({
  ...EVENT,
  kind: EVENT_KIND.STREAMS_CLOSED,
  timeNs: 6 * SECOND,
  sequence: 0,
  ...more,
});
