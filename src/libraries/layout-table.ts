import { compareVersions, distance, lineOf, parseVersion, type Version } from '../base/versions.ts';
import type { Found } from './library.ts';

/** What each row of a layouts.json has beside its offsets. */
export interface LayoutRow {
  readonly version: string;
  readonly rustc: string;
  readonly features: string;
}

export interface LayoutQuestion<Row extends LayoutRow, Layout> {
  readonly library: string;
  readonly version: string | undefined;
  readonly rustc: string | undefined;
  readonly rows: readonly Row[];
  readonly pick: (row: Row) => Layout;
}

/**
 * Offsets for (library version, compiler). In order: the version's own row; its two neighbours in the same
 * compatible line when they agree; the nearer one, with evidence that says so. Within a version the
 * compiler is chosen the same way. A wrong neighbour shows at run time as requests that never pair, not as
 * wrong spans.
 */
export function lookUp<Row extends LayoutRow, Layout>(question: LayoutQuestion<Row, Layout>): Found<Layout> {
  const { library, rows } = question;
  if (question.version === undefined) return whenUnknown(question);
  const wanted = parseVersion(question.version);
  const line = wanted && rows.filter((row) => lineOf(versionOf(row.version)) === lineOf(wanted));
  if (wanted === undefined || line === undefined || line.length === 0)
    return { missing: `the layout of ${library} ${question.version} is not known` };
  const [low, high] = neighbours(line, wanted, (row) => row.version);
  const older = low && withCompiler(low, question);
  const newer = high && withCompiler(high, question);
  if (older && newer && low?.[0]?.version !== high?.[0]?.version)
    return merge(question, wanted, older, newer);
  const only = older ?? newer;
  if (!only) return { missing: `the layout of ${library} ${question.version} is not known` };
  const exact = only.row.version === question.version;
  return {
    value: question.pick(only.row),
    evidence: `${exact ? '' : 'nearest: '}${library} ${only.row.version}, ${only.evidence}`,
  };
}

interface Choice<Row> {
  readonly row: Row;
  readonly evidence: string;
}

function merge<Row extends LayoutRow, Layout>(
  question: LayoutQuestion<Row, Layout>,
  wanted: Version,
  older: Choice<Row>,
  newer: Choice<Row>,
): Found<Layout> {
  const { library, pick } = question;
  const both = `${library} ${older.row.version} and ${newer.row.version}`;
  if (same(pick(older.row), pick(newer.row)))
    return { value: pick(older.row), evidence: `between ${both}, which agree, ${older.evidence}` };
  const gap = (choice: Choice<Row>) => distance(versionOf(choice.row.version), wanted);
  const near = gap(newer) < gap(older) ? newer : older;
  return {
    value: pick(near.row),
    evidence: `nearest of ${both}, which differ: ${near.row.version}, ${near.evidence}`,
  };
}

/** Without a version there is an answer only where all versions have the same. */
function whenUnknown<Row extends LayoutRow, Layout>(question: LayoutQuestion<Row, Layout>): Found<Layout> {
  const [first, ...rest] = question.rows.map(question.pick);
  if (first !== undefined && rest.every((layout) => same(layout, first)))
    return { value: first, evidence: `the same in all ${question.library} versions measured` };
  return { missing: `the version of ${question.library} is not known, and its layouts differ` };
}

/** Of one version's rows, the one of the wanted compiler or its nearest. */
function withCompiler<Row extends LayoutRow, Layout>(
  rows: readonly Row[],
  question: LayoutQuestion<Row, Layout>,
): Choice<Row> | undefined {
  const wanted = question.rustc === undefined ? undefined : parseVersion(question.rustc);
  const newest = rows.toSorted((a, b) => compareVersions(versionOf(b.rustc), versionOf(a.rustc)))[0];
  if (!newest) return undefined;
  if (!wanted) return { row: newest, evidence: `rustc unknown, taken as ${newest.rustc}` };
  const [low, high] = neighbours(rows, wanted, (row) => row.rustc);
  const [older, newer] = [low?.[0], high?.[0]];
  const near = [older, newer].find((row) => row?.rustc === question.rustc);
  if (near) return { row: near, evidence: `rustc ${near.rustc}` };
  if (older && newer && same(question.pick(older), question.pick(newer)))
    return { row: older, evidence: `rustc ${older.rustc} and ${newer.rustc} agree` };
  const row = nearest([older, newer], wanted) ?? newest;
  return { row, evidence: `nearest rustc ${row.rustc}` };
}

function nearest<Row extends LayoutRow>(
  rows: readonly (Row | undefined)[],
  wanted: Version,
): Row | undefined {
  const known = rows.filter((row) => row !== undefined);
  const gap = (row: Row) => distance(versionOf(row.rustc), wanted);
  return known.toSorted((a, b) => gap(a) - gap(b))[0];
}

/** Rows of the greatest version ≤ wanted and of the least ≥ wanted; the same twice when it is there. */
function neighbours<Row>(
  rows: readonly Row[],
  wanted: Version,
  key: (row: Row) => string,
): readonly [Row[] | undefined, Row[] | undefined] {
  const order = (row: Row) => compareVersions(versionOf(key(row)), wanted);
  const sorted = rows.toSorted((a, b) => compareVersions(versionOf(key(a)), versionOf(key(b))));
  const low = sorted.findLast((row) => order(row) <= 0);
  const high = sorted.find((row) => order(row) >= 0);
  const group = (row: Row | undefined) => row && sorted.filter((other) => key(other) === key(row));
  return [group(low), group(high)];
}

/** Layouts are flat records of numbers made by one function: equal text means equal layout. */
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Rows come from the generated tables: their versions always parse. */
const versionOf = (text: string): Version => parseVersion(text) ?? [0, 0, 0];
