import type { AttributeKey } from '../base/attribute-key.ts';
import type { AttributeValue, FlatAttributes } from '../spans/span.ts';

/** Same cut as the OpenTelemetry SDK: UTF-16 code units. */
export function limitValue(value: AttributeValue, maxLength: number): AttributeValue {
  if (typeof value === 'string') return value.length > maxLength ? value.slice(0, maxLength) : value;
  if (typeof value !== 'object') return value;
  return value.map((item) => (item.length > maxLength ? item.slice(0, maxLength) : item));
}

/** Attributes as an object, with at most `maxCount` keys; for everything but the fast path. */
export function toAttributes(
  flat: FlatAttributes,
  maxCount: number,
  maxLength: number,
): Record<string, AttributeValue> {
  const attributes: Record<string, AttributeValue> = {};
  const end = Math.min(flat.length, 2 * maxCount);
  for (let i = 0; i < end; i += 2) {
    const key = flat[i] as AttributeKey;
    attributes[key.name] = limitValue(flat[i + 1] as AttributeValue, maxLength);
  }
  return attributes;
}

export function droppedAttributes(flat: FlatAttributes, maxCount: number): number {
  return Math.max(0, flat.length / 2 - maxCount);
}
