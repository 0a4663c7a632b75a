import type { CellResult, TwinResult } from './cell.ts';
import type { HookScore } from './score.ts';

export interface Totals {
  readonly right: number;
  readonly wrong: number;
  readonly places: number;
  readonly missed: number;
}

export function totalsOf(twins: readonly TwinResult[]): Totals {
  const hooks = twins.flatMap((twin) => twin.hooks);
  const sum = (count: (score: HookScore) => number) =>
    hooks.reduce((total, score) => total + count(score), 0);
  return {
    right: sum(({ right }) => right),
    places: sum(({ places }) => places),
    missed: sum(({ missed }) => missed.length),
    wrong:
      sum(({ wrong }) => wrong.length) + twins.reduce((total, twin) => total + twin.wrongLayouts.length, 0),
  };
}

export const percent = (part: number, whole: number): string =>
  whole === 0 ? 'none' : `${((100 * part) / whole).toFixed(1)} %`;

export const precision = ({ right, wrong }: Totals): string => percent(right, right + wrong);
export const recall = ({ places, missed }: Totals): string => percent(places - missed, places);

export function cellText(result: CellResult): string {
  return [
    ...twinLines(`${result.stack} ${result.cell}, with symbols`, result.named),
    ...twinLines(`${result.stack} ${result.cell}, stripped`, result.strippedTwin),
    `${result.stack} ${result.cell}, layouts by DWARF:`,
    ...Object.entries(result.dwarfLayouts.evidence).map(([name, evidence]) => `  ${name}: ${evidence}`),
    ...result.dwarfLayouts.wrong.map((text) => `  WRONG ${text}`),
    '',
  ].join('\n');
}

function twinLines(title: string, twin: TwinResult): readonly string[] {
  const totals = totalsOf([twin]);
  return [
    `${title}: precision ${precision(totals)}, recall ${recall(totals)}, analysed in ${Math.round(twin.analysisMs)} ms`,
    ...twin.hooks.flatMap(hookLines),
    ...twin.wrongLayouts.map((text) => `  WRONG layout ${text}`),
    ...twin.missingLayouts.map((text) => `  no ${text}`),
    ...twin.sources.map(
      ({ datum, source, reason }) => `  ${datum}: ${source === 'none' ? `no, ${reason}` : source}`,
    ),
  ];
}

function hookLines({ hook, right, missed, wrong, evidence, reasons }: HookScore): readonly string[] {
  const counts = `${right} right${missed.length > 0 ? `, ${missed.length} missed` : ''}`;
  return [
    `  ${hook.padEnd(26)} ${counts}${evidence.length > 0 ? `  (${evidence.slice(0, 3).join('; ')})` : ''}`,
    ...(missed.length > 0
      ? [...new Set([...reasons, ...missed])].slice(0, 4).map((text) => `      ${text}`)
      : []),
    ...wrong.map((text) => `      WRONG ${text}`),
  ];
}
