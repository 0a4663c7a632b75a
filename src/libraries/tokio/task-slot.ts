import type { BinaryFacts, TlsVariableFact } from '../../analysis/facts.ts';
import { compareVersions, distance, parseVersion, type Version } from '../../base/versions.ts';
import type { TaskSlot } from '../../plan/plan.ts';
import { lookUp } from '../layout-table.ts';
import { cratesNamed, type Found, hasCrate, hasSymbols } from '../library.ts';
import { recoveredSlot } from './recovered-slot.ts';
import { type ContextLayout, featuresOf, ROWS, type TokioRow } from './rows.ts';

/** Where a thread of this program keeps the id of the Tokio task it runs. */
export function taskSlot(facts: BinaryFacts): Found<TaskSlot> {
  const words = facts.recovered.threadWords['tokio.context'];
  if (words && facts.type !== 'shared-object') return recoveredSlot(facts, words);
  const context = contextVariable(facts);
  if ('missing' in context) return context;
  const found = contextLayout(facts, context.value);
  if ('missing' in found) return found;
  const { layout, version } = found.value;
  const base = threadPointerOffset(facts, context.value);
  if (base === undefined) return { missing: 'the program has a thread-local variable but no PT_TLS segment' };
  return {
    value: {
      threadPointerOffset: base,
      tagOffset: layout.tagOffset ?? undefined,
      idOffset: layout.idOffset,
      tokioVersion: version,
      evidence: `${context.value.name} (${context.value.source}); layout: ${found.evidence}`,
    },
    evidence: found.evidence,
  };
}

function contextVariable(facts: BinaryFacts): Found<TlsVariableFact> {
  if (facts.type === 'shared-object')
    return { missing: 'it is a shared object, whose thread-local storage has no fixed place' };
  const [variable, ...others] = facts.tlsVariables['tokio.context'] ?? [];
  if (others.length > 0) return { missing: 'several versions of Tokio are linked' };
  if (variable) return { value: variable, evidence: variable.name };
  if (!hasSymbols(facts)) return { missing: `it is stripped: ${whyNoWords(facts)}` };
  if (hasCrate(facts, 'tokio')) return { missing: 'tokio::runtime::context::CONTEXT has no symbol' };
  return { missing: 'Tokio is not linked' };
}

const whyNoWords = ({ recovered }: BinaryFacts): string =>
  recovered.problem ?? recovered.missing['tokio.context'] ?? 'tokio::runtime::context::CONTEXT has no symbol';

/**
 * x86-64 puts the executable's TLS block right below the thread pointer (variant II): the block starts at
 * −alignUp(p_memsz, p_align), when p_vaddr is a multiple of p_align; else at the greatest address below that is
 * congruent to p_vaddr.
 */
function threadPointerOffset(facts: BinaryFacts, variable: TlsVariableFact): number | undefined {
  if (!facts.tls) return undefined;
  const { memSize, svma } = facts.tls;
  const align = Math.max(facts.tls.align, 1);
  const start = memSize + ((((-svma - memSize) % align) + align) % align);
  return variable.offset - start;
}

interface ContextFound {
  readonly layout: Pick<ContextLayout, 'tagOffset' | 'idOffset'>;
  readonly version: string;
}

function contextLayout(facts: BinaryFacts, variable: TlsVariableFact): Found<ContextFound> {
  const versions = cratesNamed(facts, 'tokio').flatMap(({ version }) => version ?? []);
  if (versions.length !== 1)
    return { missing: `the version of Tokio is not known (${versions.length} found)` };
  const [version = ''] = versions;
  const inner = lookUp({
    library: 'tokio',
    version,
    rustc: facts.rustc?.version,
    rows: usableRows(facts, variable, version),
    pick: ({ storage, contextSize, tagOffset, idOffset }): ContextLayout => ({
      storage,
      contextSize,
      tagOffset,
      idOffset,
    }),
  });
  const offset = 'missing' in inner ? undefined : contextOffset(facts, variable, inner.value);
  if ('missing' in inner || offset === undefined)
    return { missing: `CONTEXT is ${variable.size} bytes: no measured Tokio near ${version} has that size` };
  const { tagOffset, idOffset } = inner.value;
  const moved = { tagOffset: tagOffset === null ? null : tagOffset + offset, idOffset: idOffset + offset };
  return { value: { layout: moved, version }, evidence: inner.evidence };
}

/**
 * Rows of the same scheduler features. Of a version that was not measured, only neighbours whose Context has
 * a size that fits the variable; a measured version must fit itself (else it was built in an unusual way).
 */
function usableRows(facts: BinaryFacts, variable: TlsVariableFact, version: string): readonly TokioRow[] {
  const rows = ROWS.filter(({ features }) => features === featuresOf(facts));
  if (rows.some((row) => row.version === version)) return rows;
  return rows.filter((row) => contextOffset(facts, variable, row) !== undefined);
}

/**
 * The Context's place in its thread-local variable is std's business: taken from the measured compilers next to
 * this one, where they have the same kind of storage of the same size and agree.
 */
function contextOffset(
  facts: BinaryFacts,
  variable: TlsVariableFact,
  { storage, contextSize }: ContextLayout,
): number | undefined {
  const overhead = variable.size - contextSize;
  const rustc = parseVersion(facts.rustc?.version ?? '');
  const rows = ROWS.filter((row) => row.storage === storage);
  return agreed((rustc ? nextTo(rows, rustc) : rows).filter((row) => row.storageOverhead === overhead));
}

/** Rows of the compiler itself, else of the measured ones just before and after it. */
function nextTo(rows: readonly TokioRow[], rustc: Version): readonly TokioRow[] {
  const order = (row: TokioRow) => compareVersions(parseVersion(row.rustc) ?? rustc, rustc);
  const gap = (row: TokioRow) => distance(parseVersion(row.rustc) ?? rustc, rustc);
  const nearest = (side: readonly TokioRow[]) =>
    side.filter((row) => gap(row) === Math.min(...side.map(gap)));
  return [
    ...nearest(rows.filter((row) => order(row) <= 0)),
    ...nearest(rows.filter((row) => order(row) > 0 && rows.every((other) => order(other) !== 0))),
  ];
}

function agreed(rows: readonly TokioRow[]): number | undefined {
  const offsets = new Set(rows.map((row) => row.contextOffset));
  return offsets.size === 1 ? rows[0]?.contextOffset : undefined;
}
