import type { Scope, SpanRecord, TracedProcess } from '../spans/span.ts';
import { ByteWriter } from './byte-writer.ts';
import { encodeSpan } from './encode-span.ts';
import type { SpanLimits } from './settings.ts';

const CHUNK_BYTES = 256 * 1024;

/** What the batch processor waits for before an export. Ours never has anything pending. */
const SETTLED_RESOURCE = { asyncAttributesPending: false } as const;

/**
 * A span as the bytes it takes inside an OTLP ScopeSpans. Encoding when a span ends, and not when its batch leaves,
 * lets the record die young (no garbage collector ever copies it) and makes a full queue three times smaller.
 *
 * The batch processor looks at two members of a span, `spanContext().traceFlags` and `resource`; only those
 * are here. A span is its own context: no object is made for the look.
 */
export class EncodedSpan {
  readonly process: TracedProcess;
  readonly scope: Scope;
  readonly chunk: Buffer;
  readonly start: number;
  readonly end: number;
  readonly traceFlags: number;

  constructor(span: SpanRecord, chunk: Buffer, start: number, end: number) {
    this.process = span.process;
    this.scope = span.scope;
    this.traceFlags = span.traceFlags;
    this.chunk = chunk;
    this.start = start;
    this.end = end;
  }

  /** The object itself is about 80 bytes. */
  get sizeBytes(): number {
    return this.end - this.start + 80;
  }

  spanContext(): this {
    return this;
  }

  get resource(): typeof SETTLED_RESOURCE {
    return SETTLED_RESOURCE;
  }
}

/** Returns a function that encodes a span into a chunk shared with its neighbours. */
export function createSpanEncoder(limits: SpanLimits): (span: SpanRecord) => EncodedSpan {
  const writer = new ByteWriter(CHUNK_BYTES);
  return (span) => {
    encodeSpan(writer, span, limits);
    return new EncodedSpan(span, writer.buffer, writer.start, writer.position);
  };
}
