export type Row = readonly string[];

export const heading = (text: string) => `### ${text}`;

/** The first column to the left, the others to the right, padded so that the text itself is a table too. */
export function table(columns: Row, rows: readonly Row[]): string {
  const widths = columns.map((_, index) =>
    Math.max(3, ...[columns, ...rows].map((row) => (row[index] ?? '').length)),
  );
  const line = (row: Row) => {
    const cells = widths.map((width, index) => {
      const cell = row[index] ?? '';
      return index === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `| ${cells.join(' | ')} |`;
  };
  const rule = widths.map((width, index) => (index === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(columns), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

const BEGIN = '<!-- results: begin -->';
const END = '<!-- results: end -->';

/** `document` with `text` between the two markers. */
export function replaceResults(document: string, text: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin)
    throw new Error(`Cannot write the results: ${BEGIN} and ${END} are not there`);
  return `${document.slice(0, begin + BEGIN.length)}\n\n${text}\n\n${document.slice(end)}`;
}
