import assert from 'node:assert/strict';
import { type AttributeKey, attributeKey } from '../../base/attribute-key.ts';
import type { CallEndEvent, CallEvent, ClientResponseEvent, RequestEvent } from '../../events/events.ts';
import { CALL_SCHEME, FUTURE_STATE } from '../../events/layout.ts';
import { type ClientSpanOptions, ClientSpans } from '../client-spans.ts';
import { WallClock } from '../clock.ts';
import { KNOWN_METHODS } from '../server-attributes.ts';
import type { SpanRecord } from '../span.ts';

export const SECOND = 1e9;
export const CONTEXT = {
  process: { pid: 1, resourceAttributes: {} },
  callScope: { name: 'reqwest', version: '0.12.0' },
  wireScope: { name: 'ureq', version: '3.0.0' },
  rpcScope: { name: 'tonic', version: '0.14.0' },
  streamScope: { name: 'h2', version: '0.4.0' },
};

/** Client spans of process 1; monotonic time 0 is 1,000 s after the epoch. */
export function startClient(options: Partial<ClientSpanOptions> = {}) {
  const spans: SpanRecord[] = [];
  let ms = 1_000_000;
  const client = new ClientSpans({
    clock: new WallClock({ monotonicNs: () => 0, unixMs: () => ms++ }),
    contextOf: (pid) => (pid === 1 ? CONTEXT : undefined),
    emit: (span) => spans.push(span),
    knownMethods: new Set(KNOWN_METHODS),
    captureRequest: undefined,
    captureResponse: undefined,
    statusKeys: [attributeKey('rpc.response.status_code')],
    timeoutNs: 60 * SECOND,
    ...options,
  });
  return { client, spans };
}

const header = { timeNs: 2 * SECOND, task: 7, pid: 1, tid: 2, sequence: 0 };
const ids = {
  traceId0: 1,
  traceId1: 2,
  traceId2: 3,
  traceId3: 4,
  spanId0: 5,
  spanId1: 6,
  parentId0: 7,
  parentId1: 8,
  traceFlags: 1,
};

/** Call 10: GET http://stock.example:8080/items?id=1, at 2 s. */
export const call = (more: Partial<CallEvent> = {}): CallEvent => ({
  ...header,
  ...ids,
  connection: 10,
  method: 1,
  scheme: CALL_SCHEME.HTTP,
  orphan: 0,
  authority: 'stock.example:8080',
  path: '/items?id=1',
  cut: false,
  channel: false,
  ...more,
});

/** Call 10 goes out on connection 1, at 3 s, without its head. */
export const written = (more: Partial<RequestEvent> = {}): RequestEvent => ({
  ...header,
  ...ids,
  timeNs: 3 * SECOND,
  startNs: 3 * SECOND,
  connection: 1,
  socket: 10,
  source: 'socket',
  tls: false,
  resend: false,
  ownContext: false,
  hasParent: true,
  peerAddress: '10.0.0.9',
  peerPort: 8080,
  head: '',
  overlap: 0,
  ...more,
  headSize: more.headSize ?? (more.head ?? '').length,
});

export const GET = 'GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nX-A: 1\r\n\r\n';

/** A request of no known call on connection 1, at 3 s. */
export const wire = (more: Partial<RequestEvent> = {}): RequestEvent =>
  written({ socket: 0, head: GET, ...more });

/** To call 10, at 4 s. */
export const response = (status: number, more: Partial<ClientResponseEvent> = {}): ClientResponseEvent => ({
  ...header,
  timeNs: 4 * SECOND,
  connection: 1,
  call: 10,
  peerAddress: undefined,
  peerPort: 0,
  status,
  error: 0,
  exiting: false,
  lost: false,
  head: '',
  ...more,
});

/** Of connection 1 with call 10, at 5 s. */
export const closed = (more: Partial<ClientResponseEvent> = {}): ClientResponseEvent =>
  response(0, { timeNs: 5 * SECOND, sequence: 1, ...more });

/** Of call 10, at 6 s: returned, nothing else known. */
export const ended = (more: Partial<CallEndEvent> = {}): CallEndEvent => ({
  ...header,
  timeNs: 6 * SECOND,
  connection: 10,
  state: FUTURE_STATE.RETURNED,
  written: false,
  givenUp: false,
  spawned: false,
  connects: 0,
  established: 0,
  connectError: 0,
  connectPort: 0,
  ...more,
});

export function attribute(span: SpanRecord | undefined, name: string): unknown {
  assert(span);
  const at = span.attributes.findIndex(
    (key) => typeof key === 'object' && (key as AttributeKey).name === name,
  );
  return at < 0 ? undefined : span.attributes[at + 1];
}

/** Name → value, in the order of the span. */
export function attributes(span: SpanRecord | undefined): Record<string, unknown> {
  assert(span);
  const found: Record<string, unknown> = {};
  for (let i = 0; i < span.attributes.length; i += 2)
    found[(span.attributes[i] as AttributeKey).name] = span.attributes[i + 1];
  return found;
}
