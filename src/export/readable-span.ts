import type { Attributes, HrTime, SpanContext, SpanStatus, TraceState } from '@opentelemetry/api';
import { type Resource, resourceFromAttributes } from '@opentelemetry/resources';
import type { ReadableSpan, TimedEvent } from '@opentelemetry/sdk-trace';
import type { AttributeValue, SpanRecord, TracedProcess } from '../spans/span.ts';
import { droppedAttributes, toAttributes } from './limits.ts';
import type { SpanLimits } from './settings.ts';
import { parentIdHex, spanIdHex, traceIdHex } from './span-ids.ts';

/** The SDK's view of a span, made member by member when asked for: for OTLP/JSON. */
export class ReadableRecord implements ReadableSpan {
  readonly #record: SpanRecord;
  readonly #limits: SpanLimits;
  readonly ended = true;
  readonly links: [] = [];
  readonly droppedLinksCount = 0;

  constructor(record: SpanRecord, limits: SpanLimits) {
    this.#record = record;
    this.#limits = limits;
  }

  get name(): string {
    return this.#record.name;
  }

  get kind(): SpanRecord['kind'] {
    return this.#record.kind;
  }

  spanContext(): SpanContext {
    const { traceFlags, traceState } = this.#record;
    const context = { traceId: traceIdHex(this.#record), spanId: spanIdHex(this.#record), traceFlags };
    return traceState === undefined ? context : { ...context, traceState: receivedTraceState(traceState) };
  }

  get parentSpanContext(): SpanContext {
    const { traceFlags, parentIsRemote: isRemote } = this.#record;
    // An empty span id is no parent; the context still carries isRemote, which the serializer reads.
    return {
      traceId: traceIdHex(this.#record),
      spanId: parentIdHex(this.#record) ?? '',
      traceFlags,
      isRemote,
    };
  }

  get startTime(): HrTime {
    return [this.#record.startUnixSeconds, this.#record.startNanoseconds];
  }

  get endTime(): HrTime {
    return [this.#record.endUnixSeconds, this.#record.endNanoseconds];
  }

  get duration(): HrTime {
    const seconds = this.#record.endUnixSeconds - this.#record.startUnixSeconds;
    const nanoseconds = this.#record.endNanoseconds - this.#record.startNanoseconds;
    return nanoseconds < 0 ? [seconds - 1, nanoseconds + 1e9] : [seconds, nanoseconds];
  }

  get status(): SpanStatus {
    const { status: code, statusMessage: message } = this.#record;
    return message === undefined ? { code } : { code, message };
  }

  get attributes(): Attributes {
    const { attributeCount, attributeValueLength } = this.#limits;
    return mutable(toAttributes(this.#record.attributes, attributeCount, attributeValueLength));
  }

  get droppedAttributesCount(): number {
    return droppedAttributes(this.#record.attributes, this.#limits.attributeCount);
  }

  get events(): TimedEvent[] {
    const { attributesPerEvent, attributeValueLength, eventCount } = this.#limits;
    return (this.#record.events ?? []).slice(0, eventCount).map((event) => ({
      name: event.name,
      time: [event.unixSeconds, event.nanoseconds],
      attributes: mutable(toAttributes(event.attributes, attributesPerEvent, attributeValueLength)),
      droppedAttributesCount: droppedAttributes(event.attributes, attributesPerEvent),
    }));
  }

  get droppedEventsCount(): number {
    return Math.max(0, (this.#record.events?.length ?? 0) - this.#limits.eventCount);
  }

  get resource(): Resource {
    return resourceOf(this.#record.process);
  }

  get instrumentationScope(): ReadableSpan['instrumentationScope'] {
    return this.#record.scope as ReadableSpan['instrumentationScope'];
  }
}

const resources = new WeakMap<TracedProcess, Resource>();

/** The serializers group by identity of the resource, so there is one a process. */
function resourceOf(process: TracedProcess): Resource {
  let resource = resources.get(process);
  if (resource === undefined) {
    resource = resourceFromAttributes(mutable(process.resourceAttributes));
    resources.set(process, resource);
  }
  return resource;
}

/** The API's type wants mutable arrays; nobody writes to them. */
function mutable(attributes: Readonly<Record<string, AttributeValue>>): Attributes {
  return attributes as Attributes;
}

/** A tracestate is passed on as it came. */
function receivedTraceState(header: string): TraceState {
  const state: TraceState = {
    set: () => state,
    unset: () => state,
    get: () => undefined,
    serialize: () => header,
  };
  return state;
}
