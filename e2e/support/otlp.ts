/** Spans as the Collector's file exporter writes them: OTLP JSON, a line a batch. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly flags: number;
  readonly name: string;
  /** 2 = SERVER, 3 = CLIENT. */
  readonly kind: number;
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** 0 unset, 2 error. */
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly attributes: Attributes;
  readonly events: readonly { readonly name: string; readonly attributes: Attributes }[];
  readonly resource: Attributes;
  readonly scope: { readonly name: string; readonly version: string };
}

export type AttributeValue = string | number | boolean | readonly AttributeValue[];
export type Attributes = Readonly<Record<string, AttributeValue>>;

interface OtlpValue {
  readonly stringValue?: string;
  readonly intValue?: string | number;
  readonly boolValue?: boolean;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values?: readonly OtlpValue[] };
}
type OtlpAttributes = readonly { readonly key: string; readonly value: OtlpValue }[];

interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly traceState?: string;
  readonly flags?: number;
  readonly name: string;
  readonly kind?: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes?: OtlpAttributes;
  readonly events?: readonly { readonly name: string; readonly attributes?: OtlpAttributes }[];
  readonly status?: { readonly code?: number; readonly message?: string };
}

interface OtlpBatch {
  readonly resourceSpans?: readonly {
    readonly resource?: { readonly attributes?: OtlpAttributes };
    readonly scopeSpans?: readonly {
      readonly scope?: { readonly name?: string; readonly version?: string };
      readonly spans?: readonly OtlpSpan[];
    }[];
  }[];
}

export function parseSpans(text: string): Span[] {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return lines.flatMap((line) => spansOfBatch(JSON.parse(line) as OtlpBatch));
}

function spansOfBatch(batch: OtlpBatch): Span[] {
  return (batch.resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
    const resourceAttributes = attributesOf(resource?.attributes);
    return (scopeSpans ?? []).flatMap(({ scope, spans }) => {
      const origin = {
        resource: resourceAttributes,
        scope: { name: scope?.name ?? '', version: scope?.version ?? '' },
      };
      return (spans ?? []).map((span) => ({ ...spanOf(span), ...origin }));
    });
  });
}

function spanOf(span: OtlpSpan): Omit<Span, 'resource' | 'scope'> {
  const { traceId, spanId, parentSpanId = '', traceState = '', flags = 0, name, kind = 0, status } = span;
  return {
    ...{ traceId, spanId, parentSpanId, traceState, flags, name, kind },
    startNs: BigInt(span.startTimeUnixNano),
    endNs: BigInt(span.endTimeUnixNano),
    statusCode: status?.code ?? 0,
    statusMessage: status?.message ?? '',
    attributes: attributesOf(span.attributes),
    events: (span.events ?? []).map((event) => ({
      name: event.name,
      attributes: attributesOf(event.attributes),
    })),
  };
}

function attributesOf(attributes: OtlpAttributes = []): Attributes {
  const result: Record<string, AttributeValue> = {};
  for (const { key, value } of attributes) {
    if (Object.hasOwn(result, key)) throw new Error(`Attribute ${key} occurs twice`);
    result[key] = scalarOf(value);
  }
  return result;
}

function scalarOf(value: OtlpValue): AttributeValue {
  if (value.intValue !== undefined) return Number(value.intValue);
  if (value.arrayValue !== undefined) return (value.arrayValue.values ?? []).map(scalarOf);
  return value.stringValue ?? value.boolValue ?? value.doubleValue ?? '';
}
