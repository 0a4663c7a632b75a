import { POISON_BASE } from './relocate.ts';

const SHOWN_LINES = 6;

/**
 * What a person needs of a verifier log: the last source line, the instructions after it, and the complaint.
 * Register states and the closing statistics are left out.
 */
export function explainVerifierLog(log: string, poisons: readonly string[]): string {
  const lines = log
    .split('\n')
    .map(withoutRegisters)
    .filter((line) => line !== '' && !isNoise(line));
  const source = lines.findLast((line) => line.startsWith(';'));
  const tail = lines.slice(-SHOWN_LINES);
  const shown = source && !tail.includes(source) ? [source, ...tail] : tail;
  const missing = poisonOf(log, poisons);
  return [...(missing ? [missing] : []), ...shown.map((line) => `  ${line}`)].join('\n');
}

/** `13: (0f) r0 += r1    ; R0=map_value(…` → `13: (0f) r0 += r1` */
function withoutRegisters(line: string): string {
  return line.replace(/^(\d+: \([0-9a-f]{2}\) .*?)\s*; (frame\d+: )?R.*$/, '$1').trimEnd();
}

function isNoise(line: string): boolean {
  return (
    /^(processed \d+ insns|verification time|stack depth|mark_precise|func#\d+ @|max_states)/.test(line) ||
    /^(from )?\d+( to \d+)?: R\d/.test(line)
  );
}

/** `invalid func unknown#195887104` → what could not be resolved. */
function poisonOf(log: string, poisons: readonly string[]): string | undefined {
  const number = /invalid func unknown#(\d+)/.exec(log)?.[1];
  return number === undefined ? undefined : poisons[Number(number) - POISON_BASE];
}
