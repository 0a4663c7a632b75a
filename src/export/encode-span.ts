import type { AttributeKey } from '../base/attribute-key.ts';
import type { AttributeValue, FlatAttributes, SpanEvent, SpanRecord } from '../spans/span.ts';
import { type ByteWriter, varintSize } from './byte-writer.ts';
import { droppedAttributes, limitValue } from './limits.ts';
import type { SpanLimits } from './settings.ts';

/**
 * Field numbers and wire types of opentelemetry/proto/trace/v1/trace.proto and common.proto:
 * tag = field << 3 | type, with types 0 varint, 1 fixed64, 2 length-delimited, 5 fixed32.
 */
const SPAN = {
  traceId: 0x0a,
  spanId: 0x12,
  traceState: 0x1a,
  parentSpanId: 0x22,
  name: 0x2a,
  kind: 0x30,
  startTime: 0x39,
  endTime: 0x41,
  attributes: 0x4a,
  droppedAttributes: 0x50,
  events: 0x5a,
  droppedEvents: 0x60,
  status: 0x7a,
  /** Field 16: two bytes. */
  flags: 0x85,
  flagsHigh: 0x01,
} as const;
const EVENT = { time: 0x09, name: 0x12, attributes: 0x1a, droppedAttributes: 0x20 } as const;
const STATUS_MESSAGE = { message: 0x12, code: 0x18 } as const;
const KEY_VALUE = { key: 0x0a, value: 0x12 } as const;
const ANY_VALUE = { string: 0x0a, bool: 0x10, int: 0x18, double: 0x21, array: 0x2a } as const;
const ARRAY_VALUES = 0x0a;

const FLAG_HAS_IS_REMOTE = 0x100;
const FLAG_IS_REMOTE = 0x200;

/** More than the fields of fixed size take with their tags, bytes. */
const FIXED_PART = 128;

/** ScopeSpans.spans. */
const SPANS = 0x12;

/** Writes a span with the tag and length it has inside ScopeSpans. Begins a message of the writer. */
export function encodeSpan(writer: ByteWriter, span: SpanRecord, limits: SpanLimits): void {
  writer.begin();
  writer.ensure(FIXED_PART);
  writer.byte(SPANS);
  writer.position += 2;
  encodeBody(writer, span, limits);
  writer.length2(writer.start + 1);
}

function encodeBody(writer: ByteWriter, span: SpanRecord, limits: SpanLimits): void {
  encodeIdentity(writer, span);
  writer.byte(SPAN.name);
  writer.string(span.name);
  writer.ensure(FIXED_PART);
  encodeTimes(writer, span);
  encodeAttributes(writer, SPAN.attributes, span.attributes, limits.attributeCount, limits);
  encodeDropped(writer, SPAN.droppedAttributes, droppedAttributes(span.attributes, limits.attributeCount));
  if (span.events) encodeEvents(writer, span.events, limits);
  encodeStatus(writer, span);
  writer.byte(SPAN.flags);
  writer.byte(SPAN.flagsHigh);
  const remote = span.parentIsRemote ? FLAG_IS_REMOTE : 0;
  writer.fixed32((span.traceFlags & 0xff) | FLAG_HAS_IS_REMOTE | remote);
}

function encodeIdentity(writer: ByteWriter, span: SpanRecord): void {
  writer.byte(SPAN.traceId);
  writer.byte(16);
  writer.word(span.traceId0);
  writer.word(span.traceId1);
  writer.word(span.traceId2);
  writer.word(span.traceId3);
  writer.byte(SPAN.spanId);
  writer.byte(8);
  writer.word(span.spanId0);
  writer.word(span.spanId1);
  if (span.traceState) {
    writer.byte(SPAN.traceState);
    writer.string(span.traceState);
    writer.ensure(FIXED_PART);
  }
  if ((span.parentId0 | span.parentId1) !== 0) {
    writer.byte(SPAN.parentSpanId);
    writer.byte(8);
    writer.word(span.parentId0);
    writer.word(span.parentId1);
  }
}

function encodeTimes(writer: ByteWriter, span: SpanRecord): void {
  writer.byte(SPAN.kind);
  writer.byte(span.kind + 1); // OTLP counts from SPAN_KIND_UNSPECIFIED = 0, the API from INTERNAL = 0
  writer.byte(SPAN.startTime);
  writer.unixNanoseconds(span.startUnixSeconds, span.startNanoseconds);
  writer.byte(SPAN.endTime);
  writer.unixNanoseconds(span.endUnixSeconds, span.endNanoseconds);
}

function encodeDropped(writer: ByteWriter, tag: number, count: number): void {
  if (count === 0) return;
  writer.ensure(6);
  writer.byte(tag);
  writer.varint(count);
}

function encodeStatus(writer: ByteWriter, span: SpanRecord): void {
  const message = span.statusMessage ?? '';
  const messageBytes = Buffer.byteLength(message, 'utf8');
  const messageField = messageBytes === 0 ? 0 : 1 + varintSize(messageBytes) + messageBytes;
  writer.ensure(messageBytes + 32);
  writer.byte(SPAN.status);
  writer.varint(messageField + 2);
  if (messageField !== 0) {
    writer.byte(STATUS_MESSAGE.message);
    writer.varint(messageBytes);
    writer.utf8(message);
  }
  writer.byte(STATUS_MESSAGE.code);
  writer.byte(span.status);
}

function encodeEvents(writer: ByteWriter, events: readonly SpanEvent[], limits: SpanLimits): void {
  const count = Math.min(events.length, limits.eventCount);
  for (let i = 0; i < count; i++) encodeEvent(writer, events[i] as SpanEvent, limits);
  encodeDropped(writer, SPAN.droppedEvents, events.length - count);
}

function encodeEvent(writer: ByteWriter, event: SpanEvent, limits: SpanLimits): void {
  writer.ensure(32);
  writer.byte(SPAN.events);
  const at = writer.position - writer.start;
  writer.position += 4;
  writer.byte(EVENT.time);
  writer.unixNanoseconds(event.unixSeconds, event.nanoseconds);
  writer.byte(EVENT.name);
  writer.string(event.name);
  encodeAttributes(writer, EVENT.attributes, event.attributes, limits.attributesPerEvent, limits);
  const dropped = droppedAttributes(event.attributes, limits.attributesPerEvent);
  encodeDropped(writer, EVENT.droppedAttributes, dropped);
  writer.length4(writer.start + at);
}

/** Writes `repeated KeyValue`; `tag` says in which field. Also used for the resource. */
export function encodeAttributes(
  writer: ByteWriter,
  tag: number,
  flat: FlatAttributes,
  maxCount: number,
  limits: SpanLimits,
): void {
  const end = Math.min(flat.length, 2 * maxCount);
  for (let i = 0; i < end; i += 2) {
    const key = flat[i] as AttributeKey;
    const value = flat[i + 1] as AttributeValue;
    if (typeof value === 'string' && value.length <= limits.attributeValueLength) {
      if (encodeShortAscii(writer, tag, key, value)) continue;
    } else if (typeof value === 'number' && encodeShortInteger(writer, tag, key, value)) {
      continue;
    }
    encodeAnyAttribute(writer, tag, key.bytes, limitValue(value, limits.attributeValueLength));
  }
}

/** Tag 0x0a or 0x12, length, tag, length: where a nested message begins with a string, in one word. */
const nested = (outer: number, outerSize: number, inner: number, innerSize: number): number =>
  outer | (outerSize << 8) | (inner << 16) | (innerSize << 24);

/**
 * The usual attribute: all three nested lengths fit one byte and the text is ASCII, so one pass writes it, a word
 * at a time: what a word writes too much is written over by what follows.
 * False, with nothing written, when it isn't.
 */
function encodeShortAscii(writer: ByteWriter, tag: number, key: AttributeKey, text: string): boolean {
  const keySize = key.bytes.length;
  const size = text.length;
  // Inside the KeyValue: key tag and length, value tag and length, string tag and length.
  if (keySize + size + 6 > 0x7f) return false;
  writer.ensure(keySize + size + 16);
  const { view } = writer;
  let position = encodeKey(writer, tag, key, keySize + size + 6);
  view.setInt32(position, nested(KEY_VALUE.value, size + 2, ANY_VALUE.string, size), true);
  position += 4;
  const end = position + size;
  let i = 0;
  let units = 0;
  for (; i + 4 <= size; i += 4) {
    const a = text.charCodeAt(i);
    const b = text.charCodeAt(i + 1);
    const c = text.charCodeAt(i + 2);
    const d = text.charCodeAt(i + 3);
    units |= a | b | c | d;
    view.setInt32(position, a | (b << 8) | (c << 16) | (d << 24), true);
    position += 4;
  }
  for (; i < size; i++) {
    const unit = text.charCodeAt(i);
    units |= unit;
    view.setUint8(position++, unit);
  }
  if (units > 0x7f) return false;
  writer.position = end;
  return true;
}

/** A KeyValue of at most 127 bytes up to its value. Returns where that begins. */
function encodeKey(writer: ByteWriter, tag: number, key: AttributeKey, size: number): number {
  const { view, position } = writer;
  const { words } = key;
  const keySize = key.bytes.length;
  view.setInt32(position, nested(tag, size, KEY_VALUE.key, keySize), true);
  const start = position + 4;
  for (let i = 0; i < words.length; i++) view.setInt32(start + 4 * i, words[i] as number, true);
  return start + keySize;
}

/** Counts, status codes, ports: 0 to 2^28 - 1, at most 4 bytes. False when it is another number. */
function encodeShortInteger(writer: ByteWriter, tag: number, key: AttributeKey, value: number): boolean {
  const keySize = key.bytes.length;
  if (value >>> 0 !== value || value >= 0x10000000 || keySize > 100) return false;
  const valueSize = varintSize(value);
  writer.ensure(keySize + 16);
  const buffer = writer.buffer;
  let position = encodeKey(writer, tag, key, keySize + valueSize + 5);
  buffer[position++] = KEY_VALUE.value;
  buffer[position++] = valueSize + 1;
  buffer[position++] = ANY_VALUE.int;
  let rest = value;
  while (rest > 0x7f) {
    buffer[position++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[position++] = rest;
  writer.position = position;
  return true;
}

function encodeAnyAttribute(writer: ByteWriter, tag: number, key: Uint8Array, value: AttributeValue): void {
  const valueSize = anyValueSize(value);
  const keyField = 1 + varintSize(key.length) + key.length;
  const size = keyField + 1 + varintSize(valueSize) + valueSize;
  writer.ensure(size + 6);
  writer.byte(tag);
  writer.varint(size);
  writer.byte(KEY_VALUE.key);
  writer.varint(key.length);
  writer.raw(key);
  writer.byte(KEY_VALUE.value);
  writer.varint(valueSize);
  encodeAnyValue(writer, value);
}

function encodeAnyValue(writer: ByteWriter, value: AttributeValue): void {
  if (typeof value === 'string') {
    writer.byte(ANY_VALUE.string);
    writer.string(value);
  } else if (typeof value === 'boolean') {
    writer.byte(ANY_VALUE.bool);
    writer.byte(value ? 1 : 0);
  } else if (typeof value === 'number') {
    encodeNumber(writer, value);
  } else {
    encodeArray(writer, value);
  }
}

function encodeNumber(writer: ByteWriter, value: number): void {
  if (isInt64(value)) {
    writer.byte(ANY_VALUE.int);
    writer.int64(value);
  } else {
    writer.byte(ANY_VALUE.double);
    writer.double(value);
  }
}

function encodeArray(writer: ByteWriter, items: readonly string[]): void {
  writer.byte(ANY_VALUE.array);
  writer.varint(arraySize(items));
  for (const item of items) {
    writer.byte(ARRAY_VALUES);
    writer.varint(anyValueSize(item));
    encodeAnyValue(writer, item);
  }
}

function isInt64(value: number): boolean {
  return Number.isInteger(value) && value >= -(2 ** 63) && value < 2 ** 63;
}

/** Bytes of an AnyValue without its own tag and length. */
function anyValueSize(value: AttributeValue): number {
  if (typeof value === 'string') {
    const size = Buffer.byteLength(value, 'utf8');
    return 1 + varintSize(size) + size;
  }
  if (typeof value === 'boolean') return 2;
  if (typeof value === 'number') return 1 + numberSize(value);
  const size = arraySize(value);
  return 1 + varintSize(size) + size;
}

function numberSize(value: number): number {
  if (!isInt64(value)) return 8;
  if (value < 0) return 10;
  if (value <= 0xffffffff) return varintSize(value);
  // 7 bits a byte; exact for powers of two, and numbers beyond 2^53 have zeros below.
  let bytes = 5;
  for (let rest = Math.floor(value / 2 ** 35); rest > 0; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}

function arraySize(items: readonly string[]): number {
  let total = 0;
  for (const item of items) {
    const size = anyValueSize(item);
    total += 1 + varintSize(size) + size;
  }
  return total;
}
