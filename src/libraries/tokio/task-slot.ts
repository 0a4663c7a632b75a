import type { BinaryFacts, TlsVariableFact } from '../../analysis/facts.ts';
import type { TaskSlot } from '../../plan/plan.ts';
import { type LayoutRow, lookUp } from '../layout-table.ts';
import { cratesNamed, type Found, hasCrate, hasFunction, hasSymbols } from '../library.ts';
import { distance, parseVersion } from '../versions.ts';
import layouts from './layouts.json' with { type: 'json' };

interface ContextLayout {
  readonly storage: string;
  readonly contextSize: number;
  readonly tagOffset: number | null;
  readonly idOffset: number;
}

interface TokioRow extends LayoutRow, ContextLayout {
  /** The variable's size beyond that of the Context in it, and the Context's place in it. */
  readonly storageOverhead: number;
  readonly contextOffset: number;
}

const ROWS: readonly TokioRow[] = layouts.rows;

/** Where a thread of this program keeps the id of the Tokio task it runs. */
export function taskSlot(facts: BinaryFacts): Found<TaskSlot> {
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
  if (!hasSymbols(facts))
    return { missing: 'it is stripped: tokio::runtime::context::CONTEXT has no symbol' };
  if (hasCrate(facts, 'tokio')) return { missing: 'tokio::runtime::context::CONTEXT has no symbol' };
  return { missing: 'Tokio is not linked' };
}

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
    rows: ROWS.filter(({ features }) => features === featuresOf(facts)),
    pick: ({ storage, contextSize, tagOffset, idOffset }): ContextLayout => ({
      storage,
      contextSize,
      tagOffset,
      idOffset,
    }),
  });
  if ('missing' in inner) return inner;
  const offset = contextOffset(facts, variable, inner.value);
  if (offset === undefined)
    return {
      missing: `CONTEXT is ${variable.size} bytes, which does not fit Tokio ${version} (${inner.evidence})`,
    };
  const { tagOffset, idOffset } = inner.value;
  const moved = { tagOffset: tagOffset === null ? null : tagOffset + offset, idOffset: idOffset + offset };
  return { value: { layout: moved, version }, evidence: inner.evidence };
}

/** A program built with the feature rt-multi-thread links parts of that scheduler whichever it uses. */
function featuresOf(facts: BinaryFacts): string {
  return hasFunction(facts, 'tokio.multi_thread') ? 'rt-multi-thread' : 'rt';
}

/**
 * The Context's place in its thread-local variable is std's business: taken from the measured compiler next to
 * this one that has the same kind of storage of the same size.
 */
function contextOffset(
  facts: BinaryFacts,
  variable: TlsVariableFact,
  { storage, contextSize }: ContextLayout,
): number | undefined {
  const overhead = variable.size - contextSize;
  const fitting = ROWS.filter((row) => row.storage === storage && row.storageOverhead === overhead);
  const rustc = parseVersion(facts.rustc?.version ?? '');
  if (!rustc) return agreed(fitting);
  const gap = (row: TokioRow) => distance(parseVersion(row.rustc) ?? rustc, rustc);
  return fitting.toSorted((a, b) => gap(a) - gap(b))[0]?.contextOffset;
}

function agreed(rows: readonly TokioRow[]): number | undefined {
  const offsets = new Set(rows.map((row) => row.contextOffset));
  return offsets.size === 1 ? rows[0]?.contextOffset : undefined;
}
