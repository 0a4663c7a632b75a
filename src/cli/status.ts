/** What the agent is doing, taken once a second. */
export interface StatusSnapshot {
  readonly programs: number;
  readonly spansPerSecond: number;
  /** Spans that started and have not ended. */
  readonly open: number;
  readonly exported: number;
  readonly queued: number;
  /** Every way to lose data has a name here; those at zero are not shown. */
  readonly losses: readonly Loss[];
}

export interface Loss {
  readonly name: string;
  readonly count: number;
}

interface Part {
  readonly text: string;
  readonly style: 'plain' | 'strong' | 'loss';
}

const SEPARATOR = ' · ';

/**
 * One line of at most `columns` characters. When space is short, numbers are rounded first, then `queued` and
 * `open` go, then the smallest losses are summed up as `+2 more`.
 */
export function renderStatus(snapshot: StatusSnapshot, columns: number, colour: boolean): string {
  const losses = snapshot.losses.filter((loss) => loss.count > 0).sort((a, b) => b.count - a.count);
  for (const [parts, format] of layouts(snapshot)) {
    const line = [...parts, ...lossParts(losses, losses.length, format)];
    if (width(line) <= columns) return paint(line, colour);
  }
  const least = leastParts(snapshot);
  for (let shown = losses.length - 1; shown > 0; shown--) {
    const line = [...least, ...lossParts(losses, shown, short)];
    if (width(line) <= columns) return paint(line, colour);
  }
  const line = [...least, ...(losses.length > 0 ? [sumPart(losses)] : [])];
  return width(line) <= columns ? paint(line, colour) : plainText(line).slice(0, Math.max(0, columns));
}

type Format = (count: number) => string;

/** From the most telling to the shortest. */
function layouts(s: StatusSnapshot): readonly (readonly [readonly Part[], Format])[] {
  const programs = strong(`${s.programs} ${s.programs === 1 ? 'program' : 'programs'}`);
  const full = [
    programs,
    strong(`${exact(s.spansPerSecond)} spans/s`),
    plain(`${exact(s.open)} open`),
    plain(`${exact(s.exported)} exported`),
    plain(`${exact(s.queued)} queued`),
  ];
  const rounded = [
    programs,
    strong(`${short(s.spansPerSecond)} spans/s`),
    plain(`${short(s.open)} open`),
    plain(`${short(s.exported)} exported`),
    plain(`${short(s.queued)} queued`),
  ];
  return [
    [full, exact],
    [rounded, short],
    [[...rounded.slice(0, 2), plain(`${short(s.exported)} exported`)], short],
    [leastParts(s), short],
  ];
}

function leastParts(s: StatusSnapshot): Part[] {
  return [strong(`${short(s.spansPerSecond)} spans/s`), plain(`${short(s.exported)} exported`)];
}

function lossParts(losses: readonly Loss[], shown: number, format: Format): Part[] {
  if (losses.length === 0) return [];
  const named = losses.slice(0, shown).map(({ name, count }) => `${name} ${format(count)}`);
  const more = losses.length > shown ? [`+${losses.length - shown} more`] : [];
  return [{ text: `lost: ${[...named, ...more].join(', ')}`, style: 'loss' }];
}

function sumPart(losses: readonly Loss[]): Part {
  return { text: `lost: ${short(losses.reduce((sum, loss) => sum + loss.count, 0))}`, style: 'loss' };
}

const plain = (text: string): Part => ({ text, style: 'plain' });
const strong = (text: string): Part => ({ text, style: 'strong' });

/** 1234567 → `1,234,567`. */
export function exact(count: number): string {
  return Math.round(count)
    .toString()
    .replaceAll(/\B(?=(\d{3})+$)/g, ',');
}

const UNITS = ['', 'k', 'M', 'G', 'T'] as const;

/** Three digits at least, rounded down: 999 → `999`, 1234 → `1.23k`, 12_345_678 → `12.3M`. */
export function short(count: number): string {
  let value = Math.round(count);
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  if (unit === 0) return `${value}`;
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const floor = Math.floor(value * 10 ** digits + 1e-9) / 10 ** digits;
  return `${floor.toFixed(digits)}${UNITS[unit]}`;
}

const plainText = (parts: readonly Part[]) => parts.map((part) => part.text).join(SEPARATOR);
const width = (parts: readonly Part[]) => plainText(parts).length;

/** SGR codes (ECMA-48, 8.3.117). */
const CODES = { plain: '', strong: '1', loss: '33' } as const;

function paint(parts: readonly Part[], colour: boolean): string {
  if (!colour) return plainText(parts);
  const painted = parts.map(({ text, style }) =>
    CODES[style] === '' ? text : `\x1b[${CODES[style]}m${text}\x1b[0m`,
  );
  return painted.join(`\x1b[2m${SEPARATOR}\x1b[0m`);
}
