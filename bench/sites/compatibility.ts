import { LABELS } from '../../src/cli/plan-text.ts';
import { DATA, type Datum } from '../../src/plan/plan.ts';
import { table } from '../markdown.ts';
import type { CellResult, TwinResult } from './cell.ts';
import { type ForeignResult, foreignSection } from './foreign.ts';
import { precision, recall, totalsOf } from './report.ts';

const HEAD = `<!-- Written by \`npm run bench:sites -- --write\`: changes by hand are lost. -->
# Compatibility

What the agent gets out of one program in the ways release builds are made. Two stacks, each one executable with all
of its libraries (\`fixtures/matrix\`): **new** is axum 0.8 and hyper 1, reqwest 0.12, tonic 0.14; **old** is axum 0.6
and hyper 0.14, reqwest 0.11, tonic 0.10. Each build is measured as the linker made it, with symbols, and stripped; the
agent sees nothing but that file. What is right is told by the symbols and DWARF of the very same build, which are kept
apart. The cells are described in \`fixtures/README.md\`.
`;

const SITES = `## Probe sites

Places with a right site, of all places that the code of the hook has, copies inside other functions included. A site is
right when it is an instruction of that code, a function's entry where it claims to be one, and has the operands that
names lead to. **Precision** is right sites of all sites; a wrong one fails the measurement. **Recall** is places with
a site of all places.
`;

type Twin = 'named' | 'strippedTwin';
const TWINS: readonly (readonly [twin: Twin, title: string])[] = [
  ['named', 'with symbols'],
  ['strippedTwin', 'stripped'],
];

export interface MissingCell {
  readonly stack: string;
  readonly cell: string;
  readonly reason: string;
}

/** The whole document. */
export function compatibilityText(
  results: readonly CellResult[],
  missing: readonly MissingCell[],
  foreign: readonly ForeignResult[],
): string {
  const stacks = [...new Set(results.map(({ stack }) => stack))];
  const sections = TWINS.flatMap(([twin, title]) => stacks.map((stack) => ({ twin, title, stack })));
  const of = (stack: string) => results.filter((result) => result.stack === stack);
  return `${[
    HEAD,
    '## What a user gets\n',
    ...sections.map(({ twin, title, stack }) => dataSection(`${stack}, ${title}`, of(stack), twin)),
    ...missing.map(({ stack, cell, reason }) => `Not built: ${stack} ${cell}, ${reason}.\n`),
    ...(foreign.length > 0 ? [foreignSection(foreign)] : []),
    SITES,
    totalsTable(results),
    ...sections.map(({ twin, title, stack }) => siteSection(`${stack}, ${title}`, of(stack), twin)),
  ].join('\n')}`;
}

function dataSection(title: string, results: readonly CellResult[], twin: Twin): string {
  const reasons: string[] = [];
  const note = (reason: string): string => {
    if (!reasons.includes(reason)) reasons.push(reason);
    return `– ${reasons.indexOf(reason) + 1}`;
  };
  const mark = (result: CellResult, datum: Datum): string => {
    const choice = result[twin].sources.find((source) => source.datum === datum);
    return choice === undefined || choice.source === 'none' ? note(choice?.reason ?? 'not asked for') : '✓';
  };
  const rows = DATA.map((datum) => [LABELS[datum], ...results.map((result) => mark(result, datum))]);
  const notes = reasons.map((reason, index) => `${index + 1}. ${reason}`);
  return [`### ${title}\n`, table(['', ...results.map(({ cell }) => cell)], rows), '', ...notes, ''].join(
    '\n',
  );
}

function totalsTable(results: readonly CellResult[]): string {
  const figures = (twin: TwinResult) => {
    const totals = totalsOf([twin]);
    return [precision(totals), recall(totals)];
  };
  const rows = results.map(({ stack, cell, named, strippedTwin }) => [
    `${stack} ${cell}`,
    ...figures(named),
    ...figures(strippedTwin),
  ]);
  const all = (twin: Twin) => totalsOf(results.map((result) => result[twin]));
  const sums = [all('named'), all('strippedTwin')].flatMap((totals) => [precision(totals), recall(totals)]);
  const columns = ['', 'precision, symbols', 'recall', 'precision, stripped', 'recall'];
  return `${table(columns, [...rows, ['all', ...sums]])}\n`;
}

function siteSection(title: string, results: readonly CellResult[], twin: Twin): string {
  const hooks = [...new Set(results.flatMap((result) => result[twin].hooks.map(({ hook }) => hook)))].sort();
  const count = (result: CellResult, hook: string): string => {
    const score = result[twin].hooks.find((one) => one.hook === hook);
    if (!score) return '';
    const { places, missed, wrong } = score;
    return `${places - missed.length}/${places}${wrong.length > 0 ? ` WRONG ${wrong.length}` : ''}`;
  };
  const rows = hooks.map((hook) => [`\`${hook}\``, ...results.map((result) => count(result, hook))]);
  const last = ['layouts', ...results.map((result) => layoutsOf(result[twin]))];
  return [`### ${title}\n`, table(['', ...results.map(({ cell }) => cell)], [...rows, last]), ''].join('\n');
}

function layoutsOf({ missingLayouts, wrongLayouts }: TwinResult): string {
  if (wrongLayouts.length > 0) return 'WRONG';
  return missingLayouts.length === 0 ? 'all' : `${missingLayouts.length} missing`;
}
