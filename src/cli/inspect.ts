import { analyze } from '../analysis/analyze.ts';
import type { BinaryFacts, CrateFact } from '../analysis/facts.ts';
import { QUERIES, recognise } from '../libraries/index.ts';
import { MEMBER_QUERIES } from '../libraries/measured.ts';

/** Prints what the executable or shared object `file` is. Returns the exit code; throws UserError for other files. */
export async function inspect(
  file: string,
  options: { readonly json: boolean },
  write: (text: string) => void,
): Promise<number> {
  const { facts, problems } = await analyze(file, QUERIES, { members: MEMBER_QUERIES });
  write(options.json ? toJson(file, facts, problems) : toText(file, facts, problems));
  return 0;
}

/** The answers of symbols and DWARF are left out: `plan` shows them. Absent values are null, so that every key is there. */
function toJson(file: string, facts: BinaryFacts, problems: readonly string[]): string {
  const { functions: _functions, tlsVariables: _tlsVariables, members: _members, ...rest } = facts;
  const value = { file, ...rest, libraries: recognise(facts), problems };
  return `${JSON.stringify(value, (_key, member) => (member === undefined ? null : member), 2)}\n`;
}

function toText(file: string, facts: BinaryFacts, problems: readonly string[]): string {
  const rows = [...identityRows(facts), ...contentRows(facts)];
  const lines = [
    file,
    ...aligned(rows).map((line) => `  ${line}`),
    '',
    ...segmentLines(facts),
    ...libraryLines(facts),
    ...crateLines(facts.crates),
    ...problems.map((problem) => `warning: ${problem}`),
  ];
  return `${lines.join('\n').trimEnd()}\n`;
}

const TYPES: Readonly<Record<BinaryFacts['type'], string>> = {
  executable: 'executable at a fixed address',
  pie: 'position-independent executable',
  'shared-object': 'shared object',
};

function identityRows(facts: BinaryFacts): readonly (readonly string[])[] {
  const linkage = facts.linkage === 'static' ? 'statically linked' : 'dynamically linked';
  return [
    ['kind', `${TYPES[facts.type]}, ${linkage}`],
    ['size', `${facts.fileSize} bytes`],
    ['build id', facts.buildId ?? 'none'],
    ['interpreter', facts.interpreter ?? 'none'],
    ['needs', facts.neededLibraries.join(' ') || 'nothing'],
  ];
}

function contentRows(facts: BinaryFacts): readonly (readonly string[])[] {
  const { tls } = facts;
  return [
    ['Rust', facts.isRust ? 'yes' : 'no sign of it'],
    ['rustc', rustcText(facts)],
    ['functions', symbolText(facts)],
    ...recoveredRows(facts),
    ['debug info', facts.dwarf ? 'yes (.debug_info)' : 'none'],
    ['unwind info', facts.ehFrame ? 'yes (.eh_frame)' : 'none'],
    ['thread-local', tls ? `${tls.memSize} bytes, aligned to ${tls.align}` : 'none'],
  ];
}

function rustcText({ rustc, isRust }: BinaryFacts): string {
  if (rustc === undefined) return isRust ? 'unknown' : 'none';
  const commit = rustc.commit === undefined ? '' : `, commit ${rustc.commit}`;
  return `${rustc.version ?? 'unknown version'}${commit} (from ${rustc.evidence})`;
}

/** Of a program without symbols: how much of what is asked was found all the same, or why nothing. */
function recoveredRows({ recovered, functions, objects }: BinaryFacts): readonly (readonly string[])[] {
  const { problem, threadWords, sites, missing } = recovered;
  if (problem !== undefined) return [['no symbols', `nothing found without them: ${problem}`]];
  const answers = [...Object.entries(functions), ...Object.entries(objects)];
  const named = answers.flatMap(([id, found]) =>
    found.some((one) => one.source === 'recovered') ? [id] : [],
  );
  const places = Object.entries(sites).flatMap(([id, found]) => (found.length > 0 ? [id] : []));
  const found = new Set([...named, ...places, ...Object.keys(threadWords)]).size;
  if (found + Object.keys(missing).length === 0) return [];
  const all = found + Object.keys(missing).length;
  return [['no symbols', `${found} of ${all} functions and variables that are asked for found without them`]];
}

function symbolText({ symbols }: BinaryFacts): string {
  const { debugFilePath } = symbols;
  const debug = debugFilePath === undefined ? [] : [`${symbols.debugFile} in ${debugFilePath}`];
  return [`${symbols.symtab} in .symtab`, `${symbols.dynsym} in .dynsym`, ...debug].join(', ');
}

function segmentLines({ segments }: BinaryFacts): readonly string[] {
  const rows = segments.map((segment) => [
    hex(segment.svma),
    hex(segment.fileOffset),
    `${segment.memSize} bytes`,
    segment.executable ? 'code' : 'data',
  ]);
  const table = aligned([['address', 'file offset', 'in memory', ''], ...rows]);
  return ['segments', ...table.map((line) => `  ${line}`), ''];
}

function libraryLines(facts: BinaryFacts): readonly string[] {
  const libraries = recognise(facts);
  if (libraries.length === 0) return [];
  const rows = libraries.map(({ name, version, evidence }) => [name, version ?? 'unknown version', evidence]);
  return ['libraries that serve, call or schedule', ...aligned(rows).map((line) => `  ${line}`), ''];
}

function crateLines(crates: readonly CrateFact[]): readonly string[] {
  if (crates.length === 0) return ['crates: none named', ''];
  const rows = crates.map((crate) => [crate.name, crate.version ?? 'unknown version', originOf(crate)]);
  return [`crates: ${crates.length}`, ...aligned(rows).map((line) => `  ${line}`), ''];
}

/** The standard library is built with its own crates, in other versions than the program's. */
function originOf({ evidence }: CrateFact): string {
  return evidence.startsWith('/rust/deps/') ? 'of the standard library' : '';
}

/** Columns padded to their widest cell, two spaces apart. */
function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(width(column)))
      .join('  ')
      .trimEnd(),
  );
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
