import type { Check, Verdict } from '../kernel/checks.ts';
import { checkMachine } from '../kernel/checks.ts';

const MARKS: Readonly<Record<Verdict, string>> = { ok: 'ok', reduced: 'REDUCED', fatal: 'MISSING' };

/** Says what will and won't work here, and why. 1 when tracing can't work, else 0. */
export async function doctor(
  options: { readonly json: boolean },
  write: (text: string) => void,
): Promise<number> {
  const checks = checkMachine();
  const works = checks.every((check) => check.verdict !== 'fatal');
  write(options.json ? `${JSON.stringify({ works, checks }, undefined, 2)}\n` : renderChecks(checks));
  return works ? 0 : 1;
}

/** A table: check, verdict, what was found; what it means under the lines that aren't well. */
export function renderChecks(checks: readonly Check[]): string {
  const width = Math.max(...checks.map((check) => check.title.length));
  const lines = checks.flatMap((check) => {
    const line = `${check.title.padEnd(width)}  ${MARKS[check.verdict].padEnd(7)}  ${check.found}`;
    return check.meaning === '' ? [line] : [line, `${' '.repeat(width + 2)}→ ${check.meaning}`];
  });
  return `${[...lines, '', summary(checks)].join('\n')}\n`;
}

function summary(checks: readonly Check[]): string {
  const named = (verdict: Verdict) =>
    checks.filter((check) => check.verdict === verdict).map((check) => check.title);
  const fatal = named('fatal');
  if (fatal.length > 0) return `Tracing can not work here: ${fatal.join(', ')}`;
  const reduced = named('reduced');
  return reduced.length > 0 ? `Tracing works, with less: ${reduced.join(', ')}` : 'Tracing works here';
}
