import type { BinaryFacts } from '../../analysis/facts.ts';
import type { LayoutRow } from '../layout-table.ts';
import { hasFunction } from '../library.ts';
import layouts from './layouts.json' with { type: 'json' };

export interface ContextLayout {
  readonly storage: string;
  readonly contextSize: number;
  readonly tagOffset: number | null;
  readonly idOffset: number;
}

export interface TokioRow extends LayoutRow, ContextLayout {
  /** The variable's size beyond that of the Context in it, and the Context's place in it. */
  readonly storageOverhead: number;
  readonly contextOffset: number;
}

export const ROWS: readonly TokioRow[] = layouts.rows;

/** A program built with the feature rt-multi-thread links parts of that scheduler whichever it uses. */
export function featuresOf(facts: BinaryFacts): string {
  return hasFunction(facts, 'tokio.multi_thread') ? 'rt-multi-thread' : 'rt';
}
