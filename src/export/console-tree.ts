import type { SpanRecord } from '../spans/span.ts';
import { type Paint, renderLine, renderSpan, timeOfDay } from './console-line.ts';
import { parentIdHex, spanIdHex, traceIdHex } from './span-ids.ts';

/** Width of `16:04:05.678 `: children stand below their root's service. */
const INDENT = ' '.repeat(13);

/**
 * The spans of one trace as lines, parents before children, siblings by start time. A span whose parent isn't
 * among them is a root; so is one member of a ring, which only broken ids can make. Several roots hang from a
 * line for the trace: their caller is not traced here.
 */
export function renderTree(spans: readonly SpanRecord[], paint: Paint): string[] {
  const sorted = [...spans].sort(byStart);
  const children = childrenByParent(sorted);
  const lines: string[] = [];
  const seen = new Set<SpanRecord>();
  const branches = (below: readonly SpanRecord[], prefix: string) => {
    below.forEach((child, i) => {
      const last = i === below.length - 1;
      lines.push(`${INDENT}${paint(prefix + (last ? '└─ ' : '├─ '), 'dim')}${renderSpan(child, paint)}`);
      walk(child, prefix + (last ? '   ' : '│  '));
    });
  };
  const walk = (span: SpanRecord, prefix: string) => {
    const below = (children.get(spanIdHex(span)) ?? []).filter((child) => !seen.has(child));
    for (const child of below) seen.add(child);
    branches(below, prefix);
  };
  const roots = rootsOf(sorted, children);
  for (const root of roots) seen.add(root);
  const [only] = roots;
  if (only && roots.length === 1) {
    lines.push(renderLine(only, paint));
    walk(only, '');
  } else if (only) {
    const trace = `trace ${traceIdHex(only).slice(0, 8)}, from a caller that is not traced here`;
    lines.push(`${paint(timeOfDay(only), 'dim')} ${paint(trace, 'dim')}`);
    branches(roots, '');
  }
  return lines;
}

function childrenByParent(sorted: readonly SpanRecord[]): ReadonlyMap<string, readonly SpanRecord[]> {
  const ids = new Set(sorted.map(spanIdHex));
  const children = new Map<string, SpanRecord[]>();
  for (const span of sorted) {
    const parent = parentIdHex(span);
    if (parent !== undefined && ids.has(parent))
      children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  return children;
}

/** Spans that no other leads to: without a parent here, and the first of each ring. */
function rootsOf(
  sorted: readonly SpanRecord[],
  children: ReadonlyMap<string, readonly SpanRecord[]>,
): SpanRecord[] {
  const below = new Set([...children.values()].flat());
  const reached = new Set<SpanRecord>();
  const reach = (span: SpanRecord) => {
    if (reached.has(span)) return;
    reached.add(span);
    for (const child of children.get(spanIdHex(span)) ?? []) reach(child);
  };
  const roots = sorted.filter((span) => !below.has(span));
  for (const root of roots) reach(root);
  for (const span of sorted) {
    if (reached.has(span)) continue;
    roots.push(span);
    reach(span);
  }
  return roots.sort(byStart);
}

function byStart(a: SpanRecord, b: SpanRecord): number {
  return a.startUnixSeconds - b.startUnixSeconds || a.startNanoseconds - b.startNanoseconds;
}
