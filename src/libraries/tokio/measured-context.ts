import type { BinaryFacts, TlsVariableFact } from '../../analysis/facts.ts';
import { measuredFacts } from '../measured.ts';

/** Places in the variable CONTEXT, bytes; without `tagOffset` the id 0 stands for no task. */
export interface MeasuredContext {
  readonly tagOffset: number | undefined;
  readonly idOffset: number;
}

/** Bytes of an id: a u64, whose Option has a tag of the same size in front or behind. */
const ID_SIZE = 8;

/**
 * Where the task's id is, from DWARF: Tokio's Context has it, and one of std's types for thread-local variables, the one
 * that is as large as the variable, has the Context.
 */
export function measuredContext(facts: BinaryFacts, variable: TlsVariableFact): MeasuredContext | undefined {
  const { context, taskId, taskIdOption, ...storages } = measuredFacts(facts, 'tokio');
  const fitting = Object.values(storages).filter(({ typeSize }) => typeSize === variable.size);
  const [storage, ...others] = fitting;
  if (
    !context ||
    !taskId ||
    !taskIdOption ||
    !storage ||
    others.some(({ offset }) => offset !== storage.offset)
  )
    return undefined;
  const idOffset = storage.offset + taskId.offset;
  if (taskIdOption.size === ID_SIZE) return { tagOffset: undefined, idOffset };
  const isIdFirst = taskId.offset === taskIdOption.offset;
  const tagOffset = storage.offset + taskIdOption.offset + (isIdFirst ? ID_SIZE : 0);
  return { tagOffset, idOffset };
}
