import type { StreamEvent } from '../events/events.ts';
import { type Headers, HTTP_METHODS } from './client-attributes.ts';
import type { RequestHead } from './request-head.ts';

/** The first header of that name. */
export function headerOf({ headers }: StreamEvent, name: string): string | undefined {
  for (const [key, value] of headers) if (key === name) return value;
  return undefined;
}

/** The headers asked for, by name, in the order they came. */
export function capturedHeaders(
  { headers }: StreamEvent,
  capture: ReadonlySet<string> | undefined,
): Headers | undefined {
  if (!capture) return undefined;
  let captured: Map<string, string[]> | undefined;
  for (const [name, value] of headers) {
    if (!capture.has(name)) continue;
    captured ??= new Map();
    const values = captured.get(name);
    if (values) values.push(value);
    else captured.set(name, [value]);
  }
  return captured;
}

/** A request as HTTP/1's. RFC 9113 §8.3.1: `:authority` beats Host. Method '': an extension that was not read. */
export function streamHead(event: StreamEvent, capture: ReadonlySet<string> | undefined): RequestHead {
  const first = (name: string) => headerOf(event, name);
  return {
    method: HTTP_METHODS[event.methodTag] ?? event.method ?? '',
    target: event.path ?? '',
    version: '2',
    host: event.authority ?? first('host'),
    userAgent: first('user-agent'),
    forwarded: first('forwarded'),
    forwardedFor: first('x-forwarded-for'),
    forwardedProto: first('x-forwarded-proto'),
    traceState: traceState(event),
    captured: capturedHeaders(event, capture),
  };
}

/** W3C trace context §3.3.1: several are one list. */
function traceState({ headers }: StreamEvent): string | undefined {
  let state: string | undefined;
  for (const [name, value] of headers) {
    if (name === 'tracestate') state = state ? `${state},${value}` : value;
  }
  return state;
}
