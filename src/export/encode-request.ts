import { attributeKey } from '../base/attribute-key.ts';
import type { FlatAttributes, Scope, TracedProcess } from '../spans/span.ts';
import { ByteWriter, Chunk, varintSize } from './byte-writer.ts';
import { encodeAttributes } from './encode-span.ts';
import type { EncodedSpan } from './encoded-span.ts';
import type { SpanLimits } from './settings.ts';

/** One ExportTraceServiceRequest on its way. */
export interface EncodedRequest {
  readonly bytes: Uint8Array;
  readonly spanCount: number;
  /** To be called when nobody will read `bytes` any more, if that can be known: its memory is used again. */
  readonly release?: () => void;
}

/** opentelemetry/proto/collector/trace/v1/trace_service.proto and trace.proto; all length-delimited. */
const REQUEST = { resourceSpans: 0x0a } as const;
const RESOURCE_SPANS = { resource: 0x0a, scopeSpans: 0x12 } as const;
const RESOURCE = { attributes: 0x0a } as const;
const SCOPE_SPANS = { scope: 0x0a } as const;
const SCOPE = { name: 0x0a, version: 0x12 } as const;

/** A resource is what the agent says of itself and the process: the span limits don't apply. */
const NO_LIMITS: SpanLimits = {
  attributeCount: Number.POSITIVE_INFINITY,
  attributesPerEvent: Number.POSITIVE_INFINITY,
  eventCount: Number.POSITIVE_INFINITY,
  attributeValueLength: Number.POSITIVE_INFINITY,
};

/** The memory of the last request that has been released; fresh pages would cost more than what is written to them. */
export class RequestMemory {
  #spare: Chunk | undefined;

  take(bytes: number): Chunk {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined && spare.buffer.length >= bytes) return spare;
    return new Chunk(Math.ceil(bytes / STEP) * STEP);
  }

  release(chunk: Chunk): void {
    this.#spare = chunk;
  }
}

/** Batches differ a little in size. */
const STEP = 256 * 1024;

/** Requests of at most `maxBytes` each; a span that is larger on its own travels alone. */
export function* encodeRequests(
  spans: readonly EncodedSpan[],
  maxBytes: number,
  memory = new RequestMemory(),
): Generator<EncodedRequest, void, undefined> {
  let from = 0;
  let bytes = 0;
  let seen = new Set<TracedProcess>();
  for (let i = 0; i < spans.length; i++) {
    const span = spans[i] as EncodedSpan;
    let size = span.end - span.start;
    if (!seen.has(span.process)) size += resourceField(span.process).length + CONTAINERS;
    if (bytes + size > maxBytes && i > from) {
      yield encodeRequest(spans.slice(from, i), memory);
      from = i;
      bytes = resourceField(span.process).length + CONTAINERS + span.end - span.start;
      seen = new Set();
    } else {
      bytes += size;
    }
    seen.add(span.process);
  }
  if (from < spans.length) yield encodeRequest(from === 0 ? spans : spans.slice(from), memory);
}

/** More than the tags and lengths of a ResourceSpans and its ScopeSpans take, bytes. */
const CONTAINERS = 1024;

interface ScopeGroup {
  readonly scope: Scope;
  readonly spans: EncodedSpan[];
  /** Bytes of the spans alone. */
  size: number;
}

export function encodeRequest(spans: readonly EncodedSpan[], memory = new RequestMemory()): EncodedRequest {
  const parts = [...groupSpans(spans)].map(([process, scopes]) => {
    const groups = [...scopes.values()];
    const size = groups.reduce((sum, group) => sum + fieldSize(scopeSpansSize(group)), 0);
    return { resource: resourceField(process), groups, size: resourceField(process).length + size };
  });
  const total = parts.reduce((sum, part) => sum + fieldSize(part.size), 0);
  const chunk = memory.take(total);
  const out = new ByteWriter(chunk);
  for (const part of parts) {
    out.byte(REQUEST.resourceSpans);
    out.varint(part.size);
    out.raw(part.resource);
    for (const group of part.groups) writeScopeSpans(out, group);
  }
  const bytes = out.buffer.subarray(0, total);
  return { bytes, spanCount: spans.length, release: () => memory.release(chunk) };
}

function groupSpans(spans: readonly EncodedSpan[]): Map<TracedProcess, Map<Scope, ScopeGroup>> {
  const processes = new Map<TracedProcess, Map<Scope, ScopeGroup>>();
  let scopes: Map<Scope, ScopeGroup> | undefined;
  let process: TracedProcess | undefined;
  let group: ScopeGroup | undefined;
  for (const span of spans) {
    if (span.process !== process || scopes === undefined) {
      process = span.process;
      scopes = processes.get(process) ?? new Map<Scope, ScopeGroup>();
      processes.set(process, scopes);
      group = undefined;
    }
    if (group === undefined || group.scope !== span.scope) {
      group = scopes.get(span.scope) ?? { scope: span.scope, spans: [], size: 0 };
      scopes.set(span.scope, group);
    }
    group.spans.push(span);
    group.size += span.end - span.start;
  }
  return processes;
}

function scopeSpansSize(group: ScopeGroup): number {
  return scopeField(group.scope).length + group.size;
}

/** One byte of tag, the length and the content. */
function fieldSize(size: number): number {
  return 1 + varintSize(size) + size;
}

function writeScopeSpans(out: ByteWriter, group: ScopeGroup): void {
  out.byte(RESOURCE_SPANS.scopeSpans);
  out.varint(scopeSpansSize(group));
  out.raw(scopeField(group.scope));
  copySpans(out, group.spans);
}

/** Neighbours in a chunk leave in one copy. */
function copySpans(out: ByteWriter, spans: readonly EncodedSpan[]): void {
  for (let i = 0; i < spans.length; ) {
    const first = spans[i] as EncodedSpan;
    let end = first.end;
    for (i++; i < spans.length; i++) {
      const next = spans[i] as EncodedSpan;
      if (next.chunk !== first.chunk || next.start !== end) break;
      end = next.end;
    }
    out.position += first.chunk.buffer.copy(out.buffer, out.position, first.start, end);
  }
}

const resourceFields = new WeakMap<TracedProcess, Uint8Array>();
const scopeFields = new WeakMap<Scope, Uint8Array>();

/** ResourceSpans.resource with tag and length, encoded once a process. */
function resourceField(process: TracedProcess): Uint8Array {
  let field = resourceFields.get(process);
  if (field === undefined) {
    const attributes: FlatAttributes = Object.entries(process.resourceAttributes).flatMap(([name, value]) => [
      attributeKey(name),
      value,
    ]);
    field = encodeField(RESOURCE_SPANS.resource, (writer) => {
      encodeAttributes(writer, RESOURCE.attributes, attributes, NO_LIMITS.attributeCount, NO_LIMITS);
    });
    resourceFields.set(process, field);
  }
  return field;
}

/** ScopeSpans.scope with tag and length. */
function scopeField(scope: Scope): Uint8Array {
  let field = scopeFields.get(scope);
  if (field === undefined) {
    field = encodeField(SCOPE_SPANS.scope, (writer) => {
      writer.byte(SCOPE.name);
      writer.string(scope.name);
      if (!scope.version) return;
      writer.ensure(1);
      writer.byte(SCOPE.version);
      writer.string(scope.version);
    });
    scopeFields.set(scope, field);
  }
  return field;
}

function encodeField(tag: number, encode: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(new Chunk(512));
  writer.byte(tag);
  writer.position += 4;
  encode(writer);
  writer.length4(writer.start + 1);
  return writer.buffer.subarray(writer.start, writer.position);
}
