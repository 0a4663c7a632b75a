import type { SpanRecord } from '../spans/span.ts';

const word = (value: number): string => (value >>> 0).toString(16).padStart(8, '0');

export function traceIdHex(span: SpanRecord): string {
  return word(span.traceId0) + word(span.traceId1) + word(span.traceId2) + word(span.traceId3);
}

export function spanIdHex(span: SpanRecord): string {
  return word(span.spanId0) + word(span.spanId1);
}

export function parentIdHex(span: SpanRecord): string | undefined {
  if ((span.parentId0 | span.parentId1) === 0) return undefined;
  return word(span.parentId0) + word(span.parentId1);
}
