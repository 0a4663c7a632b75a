import type { BinaryFacts } from '../../analysis/facts.ts';
import { compareVersions, parseVersion } from '../../base/versions.ts';
import type { ClientLayout } from '../../plan/plan.ts';
import { agreed } from '../agreed.ts';
import { type LayoutRow, lookUp } from '../layout-table.ts';
import { cratesNamed, type Found, hasFunction } from '../library.ts';
import { measured } from '../measured.ts';
import layouts from './client-layouts.json' with { type: 'json' };

export type HyperClientLayout = Pick<
  ClientLayout,
  | 'clientEncodeHead'
  | 'clientEncodeReqMethod'
  | 'clientHeadEntries'
  | 'clientHeadPath'
  | 'clientParseReqMethod'
> & { readonly bytesMutPointer: number; readonly bytesMutLength: number };

type Row = LayoutRow & HyperClientLayout;

const ROWS: readonly Row[] = layouts.rows;

/** Of hyper's HTTP/1 client; versions of hyper that are linked together must agree. */
export function hyperClientLayout(facts: BinaryFacts): Found<HyperClientLayout> {
  const versions = cratesNamed(facts, 'hyper').flatMap(({ version }) => version ?? []);
  const answers = (versions.length > 0 ? versions : [undefined]).map((version) =>
    lookUp({
      library: 'hyper',
      version,
      rustc: facts.rustc?.version,
      rows: ROWS.filter(({ features }) => features === featuresOf(facts, version)),
      pick: layoutOf,
      measured: measured(facts, 'hyper', 'client-layouts'),
    }),
  );
  return agreed('hyper', answers);
}

const layoutOf = (row: Row): HyperClientLayout => ({
  clientEncodeHead: row.clientEncodeHead,
  clientEncodeReqMethod: row.clientEncodeReqMethod,
  clientHeadEntries: row.clientHeadEntries,
  clientHeadPath: row.clientHeadPath,
  clientParseReqMethod: row.clientParseReqMethod,
  bytesMutPointer: row.bytesMutPointer,
  bytesMutLength: row.bytesMutLength,
});

/**
 * ParseContext has members more with the feature `server`, in 0.14 with `server` and `runtime`. Seen by the
 * server's functions: a program that was built with the feature and has no server loses its TLS responses where
 * the two differ (hyper 0.14.16 to 0.14.32, 1.0 to 1.3).
 */
function featuresOf(facts: BinaryFacts, version: string | undefined): string {
  if (!hasFunction(facts, 'hyper.server.code')) return 'client http1';
  const parsed = version === undefined ? undefined : parseVersion(version);
  const old = parsed !== undefined && compareVersions(parsed, [1, 0, 0]) < 0;
  return old && hasFunction(facts, 'hyper.runtime') ? 'client server http1 runtime' : 'client server http1';
}
