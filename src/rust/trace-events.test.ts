import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DataImage } from '../elf/data-image.ts';
import { traceEvents } from './trace-events.ts';

const START = 0x1000;
const METADATA = 0x1040;
const CALLSITE = 0x1100;
const TEXT = 0x1200;
const SIZE = 0x400;

function imageOf(name: string, words: readonly (readonly [address: number, value: number])[]): DataImage {
  const bytes = Buffer.alloc(SIZE);
  bytes.write(name, TEXT - START, 'latin1');
  for (const [address, value] of words) bytes.writeBigUInt64LE(BigInt(value), address - START);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return new DataImage([{ svma: START, bytes, view }], new Map());
}

const NAME = 'event /x/registry/src/y/h2-0.4.20/src/proto/streams/send.rs:133';
const name = (text: string) =>
  [
    [METADATA + 16, TEXT],
    [METADATA + 24, text.length],
  ] as const;
const TO_CALLSITE = [METADATA + 48, CALLSITE] as const;
const TO_METADATA = [CALLSITE, METADATA] as const;

test('an event: its name, and a callsite and metadata that point to each other', () => {
  const [event, ...others] = traceEvents(imageOf(NAME, [...name(NAME), TO_CALLSITE, TO_METADATA]));
  assert.deepEqual(others, []);
  assert.deepEqual(event?.source, { crate: 'h2', version: '0.4.20', file: 'src/proto/streams/send.rs' });
  assert.equal(event?.line, 133);
  assert.ok(event?.addresses.includes(CALLSITE) && event.addresses.includes(METADATA));
});

test('a text alone, or with pointers one way only, is no event', () => {
  assert.deepEqual(traceEvents(imageOf(NAME, [])), []);
  assert.deepEqual(traceEvents(imageOf(NAME, [...name(NAME), TO_CALLSITE])), []);
  assert.deepEqual(traceEvents(imageOf(NAME, [...name(NAME), TO_METADATA])), []);
  const span = 'event of the program';
  assert.deepEqual(traceEvents(imageOf(span, [...name(span), TO_CALLSITE, TO_METADATA])), []);
});

test('any data ends in bounded time, and gives addresses of its own', () => {
  const word = fc.tuple(
    fc.nat(SIZE / 8 - 1).map((index) => START + index * 8),
    fc.oneof(fc.constantFrom(TEXT, METADATA, CALLSITE, NAME.length), fc.nat()),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 40 }), (words) => {
      for (const event of traceEvents(imageOf(NAME, words)))
        assert.ok(event.addresses.every((address) => address >= 0 && Number.isSafeInteger(address)));
    }),
  );
});
