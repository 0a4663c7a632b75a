import { compareVersions, distance, lineOf, parseVersion } from '../base/versions.ts';
import type { CodeFunction, EventUse, LocationUse, Program } from './program.ts';
import axum from './spans/axum.json' with { type: 'json' };
import bytes from './spans/bytes.json' with { type: 'json' };
import h2 from './spans/h2.json' with { type: 'json' };
import http from './spans/http.json' with { type: 'json' };
import hyper from './spans/hyper.json' with { type: 'json' };
import hyperUtil from './spans/hyper-util.json' with { type: 'json' };
import reqwest from './spans/reqwest.json' with { type: 'json' };
import tonic from './spans/tonic.json' with { type: 'json' };
import tower from './spans/tower.json' with { type: 'json' };

/** Versions whose file has the same functions at the same lines: `name first last`, separated by `;`. */
interface SpanRow {
  readonly versions: readonly string[];
  readonly functions: string;
}

/** Generated from the crates' sources by scripts/generate-spans.mjs. */
const TABLES: Readonly<Record<string, Readonly<Record<string, readonly SpanRow[]>>>> = {
  axum,
  bytes,
  h2,
  http,
  hyper,
  'hyper-util': hyperUtil,
  reqwest,
  tonic,
  tower,
};

interface Span {
  readonly name: string;
  readonly first: number;
  readonly last: number;
}

export interface SourceFunction {
  /** `<Server as Http1Transaction>::parse`; below a function with items of its own, `outer::inner`. */
  readonly name: string;
  /** Of the crate whose lines were taken: another one where the crate's own are not in the table. */
  readonly linesOf: string;
}

/** The innermost function around a line of a crate's file. */
export function sourceFunction(
  crate: string,
  version: string | undefined,
  file: string,
  line: number,
): SourceFunction | undefined {
  const rows = TABLES[crate]?.[file];
  const nearest = version && rows ? nearestVersion(rows, version) : undefined;
  const row = nearest && rows?.find(({ versions }) => versions.includes(nearest));
  if (!nearest || !row) return undefined;
  const around = spansOf(row).filter(({ first, last }) => first <= line && line <= last);
  const inner = around.toSorted((a, b) => b.first - a.first || a.last - b.last)[0];
  return inner && { name: inner.name, linesOf: nearest };
}

const parsed = new Map<SpanRow, readonly Span[]>();

function spansOf(row: SpanRow): readonly Span[] {
  const known = parsed.get(row);
  if (known) return known;
  const spans = row.functions.split(';').flatMap((text): Span[] => {
    const match = /^(.*) (\d+) (\d+)$/.exec(text);
    return match?.[1] ? [{ name: match[1], first: Number(match[2]), last: Number(match[3]) }] : [];
  });
  parsed.set(row, spans);
  return spans;
}

const nearestVersions = new Map<readonly SpanRow[], Map<string, string | undefined>>();

/** The version itself, else the nearest one of its compatible line. */
function nearestVersion(rows: readonly SpanRow[], version: string): string | undefined {
  const known = nearestVersions.get(rows) ?? new Map<string, string | undefined>();
  if (!known.has(version)) known.set(version, findNearest(rows, version));
  nearestVersions.set(rows, known);
  return known.get(version);
}

function findNearest(rows: readonly SpanRow[], version: string): string | undefined {
  const wanted = parseVersion(version);
  if (!wanted) return undefined;
  const line = rows
    .flatMap(({ versions }) => versions)
    .flatMap((text) => {
      const numbers = parseVersion(text);
      return numbers && lineOf(numbers) === lineOf(wanted) ? [{ text, numbers }] : [];
    });
  const near = line.toSorted(
    (a, b) =>
      distance(a.numbers, wanted) - distance(b.numbers, wanted) || compareVersions(a.numbers, b.numbers),
  );
  return near[0]?.text;
}

/** A panic location or an event in a function, and the function of the source that it is in. */
export interface NamedUse<Use extends EventUse | LocationUse = LocationUse> {
  readonly use: Use;
  /** Undefined for lines of files that are not in the table. */
  readonly name: string | undefined;
  readonly linesOf: string | undefined;
}

export function namesIn(program: Program, one: CodeFunction): readonly NamedUse[] {
  return program.locationsIn(one).map(named);
}

/** The same with the events of `tracing`. */
export function linesIn(program: Program, one: CodeFunction): readonly NamedUse<EventUse | LocationUse>[] {
  return [...program.locationsIn(one), ...program.eventsIn(one)].map(named);
}

function named<Use extends EventUse | LocationUse>(use: Use): NamedUse<Use> {
  const { source, line } = use.location;
  const found = source && sourceFunction(source.crate, source.version, source.file, line);
  return { use, name: found?.name, linesOf: found?.linesOf };
}
