import { attributeKey } from '../base/attribute-key.ts';
import type { UnixTime } from './clock.ts';
import type { SpanEvent } from './span.ts';

const EXCEPTION_TYPE = attributeKey('exception.type');

/** Semantic conventions for exceptions on spans. */
export function panicEvent(at: UnixTime): SpanEvent {
  return {
    name: 'exception',
    unixSeconds: at.seconds,
    nanoseconds: at.nanoseconds,
    attributes: [EXCEPTION_TYPE, 'panic'],
  };
}
