import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer';
import fc from 'fast-check';
import { decodeJsonResponse, decodeResponse } from './otlp-response.ts';

const varint = (value: number): number[] =>
  value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...varint(Math.floor(value / 0x80))];
const field = (number: number, bytes: Iterable<number>): number[] => {
  const content = [...bytes];
  return [number * 8 + 2, ...varint(content.length), ...content];
};

test('a response is read as the SDK reads it', () => {
  const response = fc.record({
    rejected: fc.maxSafeNat(),
    message: fc.string({ unit: 'grapheme' }),
  });
  fc.assert(
    fc.property(response, fc.boolean(), ({ rejected, message }, unknown) => {
      const partial = [8, ...varint(rejected), ...field(2, Buffer.from(message))];
      const extra = unknown ? [0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x28, 7] : [];
      const bytes = Uint8Array.from([...extra, ...field(1, [...partial, ...extra])]);
      const official = ProtobufTraceSerializer.deserializeResponse(bytes).partialSuccess;
      const ours = decodeResponse(bytes).partialSuccess;
      assert.equal(Number(ours?.rejectedSpans), Number(official?.rejectedSpans));
      assert.equal(ours?.errorMessage, official?.errorMessage);
    }),
  );
  assert.equal(decodeResponse(new Uint8Array()).partialSuccess, undefined);
});

test('what is no response is refused', () => {
  for (const bytes of [[0x0a, 5, 1], [0x0a], [0x0b], [0x08, ...Array<number>(11).fill(0x80)]]) {
    assert.throws(() => decodeResponse(Uint8Array.from(bytes)), /^Error: Cannot read /);
  }
});

test('JSON too', () => {
  for (const text of ['', '{}', '{"partialSuccess":{"rejectedSpans":"3","errorMessage":"é"}}']) {
    const bytes = Buffer.from(text);
    assert.deepEqual(decodeJsonResponse(bytes), JsonTraceSerializer.deserializeResponse(bytes));
  }
});
