/** A small protobuf reader for tests, driven by the message descriptions below. */

type Kind = 'uint' | 'int64' | 'bool' | 'double' | 'fixed32' | 'fixed64' | 'string' | 'hex' | Message;
interface Field {
  readonly name: string;
  readonly kind: Kind;
  readonly repeated?: true;
  /** A oneof member has no default. */
  readonly oneof?: true;
}
type Message = () => Readonly<Record<number, Field>>;
export type Decoded = Record<string, unknown>;

const anyValue: Message = () => ({
  1: { name: 'string', kind: 'string', oneof: true },
  2: { name: 'bool', kind: 'bool', oneof: true },
  3: { name: 'int', kind: 'int64', oneof: true },
  4: { name: 'double', kind: 'double', oneof: true },
  5: { name: 'array', kind: () => ({ 1: { name: 'values', kind: anyValue, repeated: true } }), oneof: true },
});
const keyValue: Message = () => ({
  1: { name: 'key', kind: 'string' },
  2: { name: 'value', kind: anyValue },
});
const event: Message = () => ({
  1: { name: 'time', kind: 'fixed64' },
  2: { name: 'name', kind: 'string' },
  3: { name: 'attributes', kind: keyValue, repeated: true },
  4: { name: 'droppedAttributes', kind: 'uint' },
});
const status: Message = () => ({ 2: { name: 'message', kind: 'string' }, 3: { name: 'code', kind: 'uint' } });
const span: Message = () => ({
  1: { name: 'traceId', kind: 'hex' },
  2: { name: 'spanId', kind: 'hex' },
  3: { name: 'traceState', kind: 'string' },
  4: { name: 'parentSpanId', kind: 'hex' },
  5: { name: 'name', kind: 'string' },
  6: { name: 'kind', kind: 'uint' },
  7: { name: 'start', kind: 'fixed64' },
  8: { name: 'end', kind: 'fixed64' },
  9: { name: 'attributes', kind: keyValue, repeated: true },
  10: { name: 'droppedAttributes', kind: 'uint' },
  11: { name: 'events', kind: event, repeated: true },
  12: { name: 'droppedEvents', kind: 'uint' },
  14: { name: 'droppedLinks', kind: 'uint' },
  15: { name: 'status', kind: status },
  16: { name: 'flags', kind: 'fixed32' },
});
const scope: Message = () => ({
  1: { name: 'name', kind: 'string' },
  2: { name: 'version', kind: 'string' },
});
const scopeSpans: Message = () => ({
  1: { name: 'scope', kind: scope },
  2: { name: 'spans', kind: span, repeated: true },
});
const resource: Message = () => ({
  1: { name: 'attributes', kind: keyValue, repeated: true },
  2: { name: 'droppedAttributes', kind: 'uint' },
});
const resourceSpans: Message = () => ({
  1: { name: 'resource', kind: resource },
  2: { name: 'scopeSpans', kind: scopeSpans, repeated: true },
});
const request: Message = () => ({ 1: { name: 'resourceSpans', kind: resourceSpans, repeated: true } });

export interface DecodedSpan extends Decoded {
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
}
export interface DecodedRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Decoded[] };
    readonly scopeSpans: readonly { readonly scope: Decoded; readonly spans: readonly DecodedSpan[] }[];
  }[];
}

/** Absent fields get proto3's defaults; an unknown field is an error. */
export function decodeTraceRequest(bytes: Uint8Array): DecodedRequest {
  return decode(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
    request,
  ) as unknown as DecodedRequest;
}

export function spansOf(bytes: Uint8Array): readonly DecodedSpan[] {
  return decodeTraceRequest(bytes).resourceSpans.flatMap((part) => part.scopeSpans.flatMap((s) => s.spans));
}

function decode(bytes: Buffer, message: Message): Decoded {
  const fields = message();
  const result = defaults(fields);
  const cursor = { at: 0 };
  while (cursor.at < bytes.length) {
    const tag = Number(varint(bytes, cursor));
    const field = fields[tag >>> 3];
    if (field === undefined) throw new Error(`Unknown field ${tag >>> 3} at ${cursor.at}`);
    const value = decodeValue(bytes, cursor, field.kind, tag & 7);
    if (field.repeated) (result[field.name] as unknown[]).push(value);
    else result[field.name] = value;
  }
  if (cursor.at !== bytes.length) throw new Error(`Message ends at ${cursor.at}, not at ${bytes.length}`);
  return result;
}

function defaults(fields: Readonly<Record<number, Field>>): Decoded {
  const result: Decoded = {};
  for (const field of Object.values(fields)) {
    if (!field.oneof) result[field.name] = field.repeated ? [] : defaultOf(field.kind);
  }
  return result;
}

function defaultOf(kind: Kind): unknown {
  if (typeof kind === 'function') return defaults(kind());
  if (kind === 'string' || kind === 'hex') return '';
  return kind === 'fixed64' || kind === 'int64' ? 0n : 0;
}

const WIRE_TYPES = {
  uint: 0,
  int64: 0,
  bool: 0,
  double: 1,
  fixed64: 1,
  string: 2,
  hex: 2,
  fixed32: 5,
} as const;

function decodeValue(bytes: Buffer, cursor: { at: number }, kind: Kind, wireType: number): unknown {
  const expected = typeof kind === 'function' ? 2 : WIRE_TYPES[kind];
  if (wireType !== expected) throw new Error(`Wire type ${wireType} at ${cursor.at}, expected ${expected}`);
  if (wireType === 0) {
    const value = varint(bytes, cursor);
    if (kind === 'int64') return BigInt.asIntN(64, value);
    return kind === 'bool' ? value === 1n : Number(value);
  }
  const size = wireType === 2 ? Number(varint(bytes, cursor)) : wireType === 1 ? 8 : 4;
  const part = bytes.subarray(cursor.at, cursor.at + size);
  if (part.length !== size) throw new Error(`Truncated at ${cursor.at}: ${size} bytes wanted`);
  cursor.at += size;
  if (typeof kind === 'function') return decode(part, kind);
  if (kind === 'string') return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(part);
  if (kind === 'hex') return part.toString('hex');
  if (kind === 'double') return part.readDoubleLE();
  return kind === 'fixed64' ? part.readBigUInt64LE() : part.readUInt32LE();
}

function varint(bytes: Buffer, cursor: { at: number }): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) throw new Error(`Truncated varint at ${cursor.at - 1}`);
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  throw new Error(`Varint too long at ${cursor.at}`);
}
