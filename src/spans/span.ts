import type { AttributeKey } from '../base/attribute-key.ts';

/** Integers only for numbers (status codes, ports, pids). */
export type AttributeValue = string | number | boolean | readonly string[];

/** Key, value, key, value… One flat array a span: cheaper to build and to walk than objects. */
export type FlatAttributes = readonly (AttributeKey | AttributeValue)[];

/** One OTLP ResourceSpans: a process seen by the agent. Spans are grouped by identity of this object. */
export interface TracedProcess {
  readonly pid: number;
  readonly resourceAttributes: Readonly<Record<string, AttributeValue>>;
}

/** The library that was instrumented: `hyper` `1.12.0`. Grouped by identity. */
export interface Scope {
  readonly name: string;
  readonly version: string | undefined;
}

export const SPAN_KIND = { server: 1, client: 2 } as const; // values of @opentelemetry/api SpanKind
export type SpanKindValue = (typeof SPAN_KIND)[keyof typeof SPAN_KIND];
export const STATUS = { unset: 0, error: 2 } as const;
export type StatusValue = (typeof STATUS)[keyof typeof STATUS];

export interface SpanEvent {
  readonly name: string;
  readonly unixSeconds: number;
  readonly nanoseconds: number;
  readonly attributes: FlatAttributes;
}

/**
 * A finished span. Identifiers are big-endian 32-bit words held as signed integers (`| 0`), which V8 keeps
 * unboxed: trace id = traceId0..3, span id = spanId0..1; a root span has both parent words 0.
 */
export interface SpanRecord {
  readonly process: TracedProcess;
  readonly scope: Scope;
  readonly kind: SpanKindValue;
  readonly name: string;
  readonly traceId0: number;
  readonly traceId1: number;
  readonly traceId2: number;
  readonly traceId3: number;
  readonly spanId0: number;
  readonly spanId1: number;
  readonly parentId0: number;
  readonly parentId1: number;
  /** The parent came over the wire (OTLP span flag 0x300). */
  readonly parentIsRemote: boolean;
  /** W3C tracestate as received, or undefined. */
  readonly traceState: string | undefined;
  /** W3C trace flags, bit 0 = sampled. */
  readonly traceFlags: number;
  readonly startUnixSeconds: number;
  readonly startNanoseconds: number;
  readonly endUnixSeconds: number;
  readonly endNanoseconds: number;
  readonly status: StatusValue;
  readonly statusMessage: string | undefined;
  readonly attributes: FlatAttributes;
  readonly events: readonly SpanEvent[] | undefined;
}

/** Takes finished spans; `full` tells the caller to leave further events in the kernel's ring for now. */
export interface SpanSink {
  readonly add: (span: SpanRecord) => void;
  readonly full: () => boolean;
}
