export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** NaN everywhere when there is no value. */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number) => sorted[index] ?? Number.NaN;
  const half = (sorted.length - 1) / 2;
  return {
    median: (at(Math.floor(half)) + at(Math.ceil(half))) / 2,
    least: at(0),
    most: at(sorted.length - 1),
  };
}

/** `1.23 (1.10 … 1.40)`; `—` without a value. */
export function show(values: readonly number[], digits = 2): string {
  const { median, least, most } = spread(values);
  if (Number.isNaN(median)) return '—';
  const text = (value: number) => grouped(value.toFixed(digits));
  return values.length === 1 ? text(median) : `${text(median)} (${text(least)} … ${text(most)})`;
}

/** Thousands apart: `123456.7` → `123,456.7`. */
function grouped(text: string): string {
  const [whole = '', fraction] = text.split('.');
  const spaced = whole.replaceAll(/\B(?=(\d{3})+$)/g, ',');
  return fraction === undefined ? spaced : `${spaced}.${fraction}`;
}
