import type { SpanRecord } from '../spans/span.ts';
import { type Paint, renderLine, renderSpan } from './console-line.ts';
import { parentIdHex, spanIdHex } from './readable-span.ts';

/** Width of `16:04:05.678 `: children stand below their root's service. */
const INDENT = ' '.repeat(13);

/**
 * The spans of one trace as lines, parents before children, siblings by start time. A span whose parent isn't
 * among them is a root; so is one member of a ring, which only broken ids can make.
 */
export function renderTree(spans: readonly SpanRecord[], paint: Paint): string[] {
  const sorted = [...spans].sort(byStart);
  const ids = new Set(sorted.map(spanIdHex));
  const children = new Map<string, SpanRecord[]>();
  const roots: SpanRecord[] = [];
  for (const span of sorted) {
    const parent = parentIdHex(span);
    if (parent === undefined || !ids.has(parent)) roots.push(span);
    else children.set(parent, [...(children.get(parent) ?? []), span]);
  }
  const lines: string[] = [];
  const seen = new Set<SpanRecord>();
  const walk = (span: SpanRecord, prefix: string) => {
    const below = (children.get(spanIdHex(span)) ?? []).filter((child) => !seen.has(child));
    for (const child of below) seen.add(child);
    below.forEach((child, i) => {
      const last = i === below.length - 1;
      lines.push(`${INDENT}${paint(prefix + (last ? '└─ ' : '├─ '), 'dim')}${renderSpan(child, paint)}`);
      walk(child, prefix + (last ? '   ' : '│  '));
    });
  };
  for (const root of [...roots, ...sorted]) {
    if (seen.has(root)) continue;
    seen.add(root);
    lines.push(renderLine(root, paint));
    walk(root, '');
  }
  return lines;
}

function byStart(a: SpanRecord, b: SpanRecord): number {
  return a.startUnixSeconds - b.startUnixSeconds || a.startNanoseconds - b.startNanoseconds;
}
