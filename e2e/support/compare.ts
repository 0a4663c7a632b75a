import assert from 'node:assert/strict';
import {
  differences,
  expectedRoute,
  expectedSpan,
  latenessProblems,
  timeDifferences,
  traceDifferences,
} from './expect.ts';
import type { LoadRecord } from './load.ts';
import type { Span } from './otlp.ts';
import type { Target } from './target.ts';

const SHOWN = 25;

/** Fails unless the requests that went well are exactly those that should, and each has exactly its span. */
export function assertSpansMatch(
  spans: readonly Span[],
  records: readonly LoadRecord[],
  target: Target,
): void {
  report([...loadProblems(records, target), ...spanProblems(spans, records, target)]);
}

/** The load's own truth: no request failed, and axum says the same route as our table. */
export function loadProblems(records: readonly LoadRecord[], target: Target): string[] {
  const failed = records.filter((record) => record.error !== null);
  const routes = records.filter(
    (record) => record.route !== null && record.route !== expectedRoute(target.options.program, record.kind),
  );
  return [
    ...failed.map((record) => `${label(record)}: the request failed: ${record.error}`),
    ...routes.map((record) => `${label(record)}: the program says route ${record.route}`),
  ];
}

export function spanProblems(
  spans: readonly Span[],
  records: readonly LoadRecord[],
  target: Target,
): string[] {
  const byId = spansById(spans);
  const pairs: (readonly [Span, LoadRecord])[] = [];
  const problems = records.flatMap((record) => {
    const own = byId.get(record.id) ?? [];
    byId.delete(record.id);
    for (const span of own) pairs.push([span, record]);
    return recordProblems(own, record, target);
  });
  for (const span of [...byId.values()].flat()) problems.push(`No request has the span ${describe(span)}`);
  return [...problems, ...latenessProblems(pairs), ...idProblems(spans)];
}

function recordProblems(own: readonly Span[], record: LoadRecord, target: Target): string[] {
  const [least, most] = { one: [1, 1], none: [0, 0], any: [0, 1] }[record.spans] as [number, number];
  if (own.length < least || own.length > most) {
    return [`${label(record)}: ${own.length} spans${own.map((span) => ` ${describe(span)}`).join('')}`];
  }
  const expected = expectedSpan(record, target);
  return own.flatMap((span) =>
    [
      ...differences(span, expected),
      ...timeDifferences(span, record),
      ...traceDifferences(span, record.traceparent),
    ].map((problem) => `${label(record)}: ${problem}`),
  );
}

/** The request's id: the last segment of the path, the `id` of the query, or the host of CONNECT. */
export function requestId(span: Span): string {
  const text = (key: string) => String(span.attributes[key] ?? '');
  if (text('http.request.method') === 'CONNECT') return text('server.address').replace(/\.test$/, '');
  if (text('url.path') === '/') return /(?:^|&)id=([^&]*)/.exec(text('url.query'))?.[1] ?? '';
  return text('url.path').split('/').at(-1) ?? '';
}

export function spansById(spans: readonly Span[]): Map<string, Span[]> {
  const result = new Map<string, Span[]>();
  for (const span of spans) {
    const id = requestId(span);
    const known = result.get(id);
    if (known) known.push(span);
    else result.set(id, [span]);
  }
  return result;
}

/** Span ids are unique, trace ids of roots too, none is zero. */
function idProblems(spans: readonly Span[]): string[] {
  const ids = new Set(spans.map((span) => span.spanId));
  const traces = new Set(spans.map((span) => span.traceId));
  return [
    ...(ids.size === spans.length ? [] : [`${spans.length - ids.size} span ids occur again`]),
    ...(traces.size === spans.length ? [] : [`${spans.length - traces.size} trace ids occur again`]),
    ...spans
      .filter((span) => /^0*$/.test(span.spanId) || /^0*$/.test(span.traceId))
      .map(() => 'an id is zero'),
  ];
}

export type Comparable = Readonly<Record<string, unknown>>;

/** Everything of the spans that does not differ between two runs with one seed, by request id. */
export function comparable(spans: readonly Span[]): Map<string, Comparable> {
  const changing = new Set(['network.peer.port', 'server.port']);
  const entries = spans.map((span): [string, Comparable] => {
    const attributes = Object.entries(span.attributes).filter(([key]) => !changing.has(key));
    const { name, kind, statusCode, statusMessage, events } = span;
    const sorted = Object.fromEntries(attributes.sort(([a], [b]) => (a < b ? -1 : 1)));
    const eventNames = events.map((event) => event.name);
    const parent = span.parentSpanId === '' ? '' : `${span.traceId} ${span.parentSpanId}`;
    return [requestId(span), { name, kind, statusCode, statusMessage, eventNames, parent, ...sorted }];
  });
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

export function report(problems: readonly string[]): void {
  if (problems.length > 0) assert.fail(problemText(problems));
}

/** How many of which sort, and a few examples. */
export function problemText(problems: readonly string[], shown = SHOWN): string {
  const examples = problems.slice(0, shown).map((problem) => problem.slice(0, 1000));
  const lines = [...summary(problems).slice(0, SHOWN), 'For example:', ...examples];
  return `${problems.length} problems\n${lines.join('\n')}`;
}

/** Equal problems counted together, with the kinds of request that have them; the most frequent first. */
function summary(problems: readonly string[]): string[] {
  const groups = new Map<string, Map<string, number>>();
  for (const problem of problems) {
    const [, kind = '', text = problem] = /^(\S+) \S+ \S+ \S+: (.*)$/s.exec(problem) ?? [];
    // Values differ from request to request: count what is left.
    const same = text.replaceAll(/"(\\.|[^"\\])*"|\b[0-9a-f]{16,}\b|-?\b\d{2,}\b/g, '…').slice(0, 120);
    const kinds = groups.get(same) ?? new Map<string, number>();
    groups.set(same, kinds.set(kind, (kinds.get(kind) ?? 0) + 1));
  }
  const total = (kinds: Map<string, number>) => [...kinds.values()].reduce((sum, count) => sum + count, 0);
  return [...groups]
    .sort((a, b) => total(b[1]) - total(a[1]))
    .map(([same, kinds]) => {
      const listed = [...kinds].sort((a, b) => b[1] - a[1]).map(([kind, count]) => `${kind} ${count}`);
      return `${total(kinds)} × ${same} (${listed.slice(0, 8).join(', ')})`;
    });
}

const label = (record: LoadRecord) => `${record.kind} ${record.id} ${record.method} ${record.target}`;

const describe = (span: Span) => `${span.name} ${JSON.stringify(span.attributes)}`;
