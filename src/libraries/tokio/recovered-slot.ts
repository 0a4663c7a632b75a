import type { BinaryFacts } from '../../analysis/facts.ts';
import type { TaskSlot } from '../../plan/plan.ts';
import type { ThreadWord } from '../../recover/recogniser.ts';
import { lookUp } from '../layout-table.ts';
import { cratesNamed, type Found } from '../library.ts';
import { featuresOf, ROWS, type TokioRow } from './rows.ts';

/**
 * The running task's slot without a symbol: of the thread-local words that every kind of task replaces when it is polled,
 * the one around which the measured Context has what it must: the word that tells whether there is an id, or the byte
 * that tells whether the variable is alive. Where a function tells the variable's address (programs built for size), the
 * Context must begin there. Which scheduler is linked changes the Context, so both are tried; they must agree on the
 * word.
 */
export function recoveredSlot(facts: BinaryFacts, words: readonly ThreadWord[]): Found<TaskSlot> {
  const versions = cratesNamed(facts, 'tokio').flatMap(({ version }) => version ?? []);
  const [version] = versions;
  if (versions.length !== 1 || version === undefined)
    return { missing: `the version of Tokio is not known (${versions.length} found)` };
  const own = featuresOf(facts);
  const features = [own, ...new Set(ROWS.map((row) => row.features).filter((one) => one !== own))];
  const slots = features.flatMap((feature) => slotsWith(facts, words, version, feature));
  const [slot] = slots;
  if (!slot) return { missing: `it is stripped: no thread-local word of its tasks fits Tokio ${version}` };
  const place = ({ value }: FoundSlot) =>
    `${value.threadPointerOffset + value.idOffset} ${value.tagOffset === undefined}`;
  if (slots.some((other) => place(other) !== place(slot)))
    return {
      missing: `it is stripped: ${slots.length} thread-local words of its tasks fit Tokio ${version}`,
    };
  return slot;
}

interface FoundSlot {
  readonly value: TaskSlot;
  readonly evidence: string;
}

function slotsWith(
  facts: BinaryFacts,
  words: readonly ThreadWord[],
  version: string,
  features: string,
): readonly FoundSlot[] {
  const rows = ROWS.filter((row) => row.features === features);
  const found = lookUp({ library: 'tokio', version, rustc: facts.rustc?.version, rows, pick: placesOf });
  if ('missing' in found) return [];
  const { value: places, evidence } = found;
  return words.flatMap((word): FoundSlot[] => {
    const start = word.offset - places.idOffset;
    if (word.starts.some((told) => told !== start + places.contextOffset)) return [];
    const sign = signOf(word, start, places, words);
    if (sign === undefined || start < -(facts.tls?.memSize ?? 0) - MAX_ALIGN) return [];
    const told = `no symbol, but every kind of task replaces the word when it is polled, and ${sign}`;
    return [
      {
        value: {
          threadPointerOffset: start,
          tagOffset: places.tagOffset ?? undefined,
          idOffset: places.idOffset,
          tokioVersion: version,
          recovered: true,
          evidence: `${told}; layout: ${evidence}`,
        },
        evidence,
      },
    ];
  });
}

/** The thread-local block may begin further down by what its alignment takes. */
const MAX_ALIGN = 4096;

type Places = ReturnType<typeof placesOf>;

/** Offsets in the variable. `alive`: of the byte that tells whether it was initialised or dropped. */
function placesOf({ storage, storageOverhead, contextOffset, contextSize, tagOffset, idOffset }: TokioRow) {
  return {
    contextOffset,
    idOffset: contextOffset + idOffset,
    tagOffset: tagOffset === null ? null : contextOffset + tagOffset,
    alive: storage === 'eager' && storageOverhead > 0 && contextOffset === 0 ? contextSize : null,
  };
}

function signOf(
  word: ThreadWord,
  start: number,
  { tagOffset, alive }: Places,
  words: readonly ThreadWord[],
): string | undefined {
  if (alive !== null && !word.bytes.includes(start + alive)) return undefined;
  if (tagOffset !== null && !words.some(({ offset }) => offset === start + tagOffset)) return undefined;
  if (alive !== null) return `the byte behind the Context tells whether it is alive`;
  if (tagOffset !== null) return 'the word before it tells whether there is an id';
  if (word.starts.length > 0) return 'a function tells where the Context around it begins';
  return words.length === 1 ? 'no other word is' : undefined;
}
