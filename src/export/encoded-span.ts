import type { Scope, SpanRecord, TracedProcess } from '../spans/span.ts';
import { ByteWriter, Chunk, type ChunkSource } from './byte-writer.ts';
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
  process: TracedProcess;
  scope: Scope;
  traceFlags: number;
  chunk: Chunk;
  start: number;
  end: number;

  constructor(span: SpanRecord, chunk: Chunk, start: number, end: number) {
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

export interface SpanEncoder {
  /** Encodes a span into a chunk shared with its neighbours. */
  readonly encode: (span: SpanRecord) => EncodedSpan;
  /** Takes back spans that nobody looks at any more. To be called once a span, if at all. */
  readonly release: (spans: readonly EncodedSpan[]) => void;
}

/** Spans and chunks (4 MB) kept for later: those of a batch and what comes while it is sent. */
const MAX_SPARE_SPANS = 16_384;
const MAX_SPARE_CHUNKS = 16;

/**
 * Spans wait long enough in the queue to look like lasting objects to V8's garbage collector, and die soon after:
 * the worst case for it. So they and their chunks are used again.
 */
export function createSpanEncoder(limits: SpanLimits): SpanEncoder {
  const spare: EncodedSpan[] = [];
  const chunks = spareChunks();
  const writer = new ByteWriter(chunks.take(0), chunks);
  return {
    encode: (span) => {
      encodeSpan(writer, span, limits);
      writer.chunk.users++;
      return refill(spare.pop(), span, writer.chunk, writer.start, writer.position);
    },
    release: (spans) => {
      for (const span of spans) {
        chunks.drop(span.chunk);
        if (spare.length < MAX_SPARE_SPANS) spare.push(span);
      }
    },
  };
}

function refill(
  old: EncodedSpan | undefined,
  span: SpanRecord,
  chunk: Chunk,
  start: number,
  end: number,
): EncodedSpan {
  if (old === undefined) return new EncodedSpan(span, chunk, start, end);
  old.process = span.process;
  old.scope = span.scope;
  old.traceFlags = span.traceFlags;
  old.chunk = chunk;
  old.start = start;
  old.end = end;
  return old;
}

function spareChunks(): ChunkSource {
  const spare: Chunk[] = [];
  return {
    take: (bytes) => {
      const chunk = bytes <= CHUNK_BYTES ? spare.pop() : undefined;
      if (chunk === undefined) return new Chunk(Math.max(bytes, CHUNK_BYTES));
      chunk.users = 1;
      return chunk;
    },
    drop: (chunk) => {
      chunk.users--;
      if (chunk.users > 0 || chunk.buffer.length !== CHUNK_BYTES) return;
      if (spare.length < MAX_SPARE_CHUNKS) spare.push(chunk);
    },
  };
}
