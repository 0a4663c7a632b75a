import type { BinaryFacts } from '../../analysis/facts.ts';
import type { StreamLayout } from '../../plan/plan.ts';
import { agreed } from '../agreed.ts';
import { entryLayout } from '../http/http.ts';
import { type LayoutRow, lookUp } from '../layout-table.ts';
import { cratesNamed, type Found } from '../library.ts';
import layouts from './layouts.json' with { type: 'json' };

type Row = LayoutRow & (typeof layouts.rows)[number];
type FrameLayout = Omit<StreamLayout, 'entrySize' | `entry${'Name' | 'NameCustom' | 'NameTag' | 'Value'}`>;

const ROWS: readonly Row[] = layouts.rows;

/** Of frames, streams and the headers in them; versions of h2 that are linked together must agree. */
export function streamLayout(facts: BinaryFacts): Found<StreamLayout> {
  const entry = entryLayout(facts);
  if ('missing' in entry) return entry;
  const versions = cratesNamed(facts, 'h2').flatMap(({ version }) => version ?? []);
  const frame = agreed(
    'h2',
    (versions.length > 0 ? versions : [undefined]).map((version) =>
      lookUp({ library: 'h2', version, rustc: facts.rustc?.version, rows: ROWS, pick: layoutOf }),
    ),
  );
  if ('missing' in frame) return frame;
  return {
    value: { ...entry.value, ...frame.value },
    evidence: `${frame.evidence}; ${entry.evidence}`,
  };
}

const layoutOf = (row: Row): FrameLayout => ({
  frameEntries: row.frameEntries,
  frameEntriesLength: row.frameEntriesLength,
  frameMethod: row.frameMethod,
  frameMethodText: row.frameMethodText,
  frameScheme: row.frameScheme,
  frameAuthority: row.frameAuthority,
  framePath: row.framePath,
  frameProtocol: row.frameProtocol,
  frameTextPresent: (row.frameSchemePresent - row.frameScheme) & 0xffff,
  frameStatus: row.frameStatus,
  streamStore: row.streamStore,
  streamId: row.streamId,
  streamsInner: row.streamsInner,
  innerStore: row.innerStore,
  goAwayLastId: row.goAwayLastId,
});
