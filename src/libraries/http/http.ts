import type { BinaryFacts } from '../../analysis/facts.ts';
import { compareVersions, parseVersion } from '../../base/versions.ts';
import type { ClientLayout, StreamLayout } from '../../plan/plan.ts';
import { agreed } from '../agreed.ts';
import { type LayoutRow, lookUp } from '../layout-table.ts';
import { cratesNamed, type Found } from '../library.ts';
import layouts from './layouts.json' with { type: 'json' };

/** Offsets inside http::request::Parts, which every `Request<T>` begins with (measured for three T). */
export type RequestLayout = Pick<
  ClientLayout,
  | 'requestMethod'
  | 'requestScheme'
  | 'requestAuthority'
  | 'requestPath'
  | 'requestEntries'
  | 'requestEntriesLength'
  | 'requestEntriesCapacity'
> & {
  /** Of the Uri. */
  readonly requestUri: number;
};

/** Offsets inside HeaderMap's `Bucket<HeaderValue>`. */
export type EntryLayout = Pick<
  StreamLayout,
  'entrySize' | 'entryName' | 'entryNameCustom' | 'entryNameTag' | 'entryValue'
>;

type HttpRow = LayoutRow & RequestLayout & EntryLayout;

const ROWS: readonly HttpRow[] = layouts.rows;
/** Taken where no panic location names the version: http 0.2 and 1 have the same layout for a compiler. */
const ANY_VERSION = ['0.2.12', '1.3.1'] as const;

/** The layout of requests; versions of http that are linked together must agree. */
export function requestLayout(facts: BinaryFacts): Found<RequestLayout> {
  return lookUpAll(facts, layoutOf);
}

/** The layout of headers, of versions whose standard headers have the numbers of src/base/standard-headers.ts. */
export function entryLayout(facts: BinaryFacts): Found<EntryLayout> {
  const versions = cratesNamed(facts, 'http').flatMap(({ version }) => version ?? []);
  const old = versions.find((version) => compareVersions(parseVersion(version) ?? [0, 0, 0], [0, 2, 9]) < 0);
  if (old !== undefined) return { missing: `http ${old} numbers its standard headers in another way` };
  return lookUpAll(facts, entryOf);
}

function lookUpAll<Layout>(facts: BinaryFacts, pick: (row: HttpRow) => Layout): Found<Layout> {
  const known = cratesNamed(facts, 'http').flatMap(({ version }) => version ?? []);
  const versions = known.length > 0 ? known : ANY_VERSION;
  return agreed(
    'http',
    versions.map((version) =>
      lookUp({ library: 'http', version, rustc: facts.rustc?.version, rows: ROWS, pick }),
    ),
  );
}

const entryOf = (row: HttpRow): EntryLayout => ({
  entrySize: row.entrySize,
  entryName: row.entryName,
  entryNameCustom: row.entryNameCustom,
  entryNameTag: row.entryNameTag,
  entryValue: row.entryValue,
});

const layoutOf = (row: HttpRow): RequestLayout => ({
  requestUri: row.requestUri,
  requestMethod: row.requestMethod,
  requestScheme: row.requestScheme,
  requestAuthority: row.requestAuthority,
  requestPath: row.requestPath,
  requestEntries: row.requestEntries,
  requestEntriesLength: row.requestEntriesLength,
  requestEntriesCapacity: row.requestEntriesCapacity,
});
