import type { BinaryFacts } from '../../analysis/facts.ts';
import { compareVersions, parseVersion, type Version } from '../../base/versions.ts';
import type { StreamLayout } from '../../plan/plan.ts';
import { agreed } from '../agreed.ts';
import { entryLayout } from '../http/http.ts';
import { type LayoutRow, lookUp } from '../layout-table.ts';
import { cratesNamed, type Found } from '../library.ts';
import layouts from './layouts.json' with { type: 'json' };

type Row = LayoutRow & (typeof layouts.rows)[number];
/** `refStore`: from the Arc that a StreamRef points to, to the store. */
export type FoundStreamLayout = StreamLayout & { readonly refStore: number | undefined };
type FrameLayout = Omit<StreamLayout, 'entrySize' | `entry${'Name' | 'NameCustom' | 'NameTag' | 'Value'}`>;

const FIRST: Version = [0, 3, 16];
const ROWS: readonly Row[] = layouts.rows;

/** Of frames, streams and the headers in them; versions of h2 that are linked together must agree. */
export function streamLayout(facts: BinaryFacts): Found<FoundStreamLayout> {
  const entry = entryLayout(facts);
  if ('missing' in entry) return entry;
  const versions = cratesNamed(facts, 'h2').flatMap(({ version }) => version ?? []);
  const old = versions.find((version) => compareVersions(parseVersion(version) ?? FIRST, FIRST) < 0);
  if (old !== undefined) return { missing: `h2 ${old} is older than what was measured (0.3.16)` };
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

/** Of a version whose `Headers` begins with its HeaderMap, and whose StreamRef has the members of `store::Ptr` in their places. */
function arcToStore(row: Row): number | undefined {
  const alike =
    row.frameFields === 0 && row.streamRefInner === row.streamStore && row.streamRefId === row.streamId;
  return alike ? row.streamRefLock + row.innerStore : undefined;
}

const layoutOf = (row: Row): FrameLayout & Pick<FoundStreamLayout, 'refStore'> => ({
  frameEntries: row.frameEntries,
  frameEntriesLength: row.frameEntriesLength,
  frameMethod: row.frameMethod,
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
  refStore: arcToStore(row),
});
