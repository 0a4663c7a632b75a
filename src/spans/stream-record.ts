import { type AttributeKey, attributeKey } from '../base/attribute-key.ts';
import type { StreamEvent } from '../events/events.ts';
import { clientAttributes, type Headers, isKnownMethod } from './client-attributes.ts';
import type { WallClock } from './clock.ts';
import { panicEvent } from './panic-event.ts';
import { joinRoutes } from './routes.ts';
import { rpcAttributes, rpcSpanName } from './rpc-attributes.ts';
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
import { SPAN_KIND, type SpanRecord, STATUS } from './span.ts';
import type { OpenStream } from './stream.ts';
import type { StreamEnd } from './stream-end.ts';

const END_REASON = attributeKey('otel_rust.end_reason');

export interface RecordOptions {
  readonly clock: WallClock;
  readonly knownMethods: ReadonlySet<string>;
  /** Keys that a gRPC status goes under. */
  readonly statusKeys: readonly AttributeKey[];
}

/** What an answer adds to a span beside its end. */
export interface Answer {
  readonly routes: StreamEvent['routes'];
  readonly responseHeaders: Headers | undefined;
}

export const NO_ANSWER: Answer = { routes: [], responseHeaders: undefined };

/** The finished span. */
export function streamRecord(
  open: OpenStream,
  endNs: number,
  end: StreamEnd,
  answer: Answer,
  { clock, knownMethods, statusKeys }: RecordOptions,
): SpanRecord {
  const { name, attributes } = open.rpc
    ? rpcPart(open, end, statusKeys)
    : open.server
      ? serverPart(open, end, answer, knownMethods)
      : clientPart(open, end, answer, knownMethods);
  if (end.reason !== undefined) attributes.push(END_REASON, end.reason);
  const start = clock.at(open.startNs);
  const stop = clock.at(Math.max(endNs, open.startNs));
  const { traceState } = open.head;
  return {
    process: open.process,
    scope: open.scope,
    kind: open.server ? SPAN_KIND.server : SPAN_KIND.client,
    name,
    traceId0: open.traceId0,
    traceId1: open.traceId1,
    traceId2: open.traceId2,
    traceId3: open.traceId3,
    spanId0: open.spanId0,
    spanId1: open.spanId1,
    parentId0: open.parentId0,
    parentId1: open.parentId1,
    parentIsRemote: open.parentIsRemote,
    traceState: open.parentIsRemote && traceState ? text(traceState) : undefined,
    traceFlags: open.traceFlags,
    startUnixSeconds: start.seconds,
    startNanoseconds: start.nanoseconds,
    endUnixSeconds: stop.seconds,
    endNanoseconds: stop.nanoseconds,
    status: end.error === undefined ? STATUS.unset : STATUS.error,
    statusMessage: end.error === undefined ? undefined : end.message,
    attributes,
    events: open.panicAt > 0 ? [panicEvent(clock.at(open.panicAt))] : undefined,
  };
}

interface Part {
  readonly name: string;
  readonly attributes: Attributes;
}

function rpcPart(open: OpenStream, end: StreamEnd, statusKeys: readonly AttributeKey[]): Part {
  const { target, peerAddress, peerPort, head } = open;
  const facts = { target, peerAddress, peerPort, requestHeaders: head.captured };
  return {
    name: rpcSpanName(target),
    attributes: rpcAttributes(facts, statusKeys, end.rpcStatus, end.error),
  };
}

function serverPart(open: OpenStream, end: StreamEnd, answer: Answer, known: ReadonlySet<string>): Part {
  const { head } = open;
  const attributes = requestAttributes(head, open, known);
  const route = answer.routes.length > 0 ? joinRoutes(answer.routes) : undefined;
  if (route !== undefined) attributes.push(ROUTE, route);
  if (end.status !== 0) attributes.push(STATUS_CODE, end.status);
  if (answer.responseHeaders) pushResponseHeaders(attributes, answer.responseHeaders);
  if (end.error !== undefined) attributes.push(ERROR_TYPE, end.error);
  return { name: spanName(head.method, known.has(head.method), route), attributes };
}

function clientPart(open: OpenStream, end: StreamEnd, answer: Answer, known: ReadonlySet<string>): Part {
  const { head, target, resends, peerAddress, peerPort } = open;
  const method = head.method === '' ? undefined : head.method;
  const facts = {
    method,
    target,
    resends,
    peerAddress,
    peerPort,
    version: head.version,
    requestHeaders: head.captured,
  };
  const attributes = clientAttributes(facts, known, end.status, end.error);
  if (answer.responseHeaders) pushResponseHeaders(attributes, answer.responseHeaders);
  return { name: spanName(head.method, isKnownMethod(method, known), undefined), attributes };
}
