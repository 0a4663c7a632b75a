import type { ArgumentRegister, CodeFunction, Program } from '../../recover/program.ts';
import type { RecoveredFunction } from '../../recover/recogniser.ts';
import { type NamedUse, namesIn } from '../../recover/spans.ts';

export type Side = 'Server' | 'Client';
export type Method = 'parse' | 'encode';

export const ROLE = /^src\/proto\/h1\/role\.rs$/;
/** Crates whose functions may be inlined into one that parses or writes a head. */
export const HELPERS = new Set([
  'http',
  'bytes',
  'httparse',
  'core',
  'alloc',
  'std',
  'smallvec',
  'itoa',
  'httpdate',
  'tracing',
  'tracing-core',
  'log',
]);

export interface Transaction {
  readonly side: Side;
  readonly method: Method;
  /** Demangled name of the function that is looked for. */
  readonly name: string;
  /** Its own name in the table of lines. */
  readonly own: string;
  /** Other functions of the file that may be inlined into it. */
  readonly parts: RegExp;
  /** Arguments that it takes for pointers. */
  readonly pointers: readonly ArgumentRegister[];
}

export const transaction = (side: Side, method: Method): Transaction => ({
  side,
  method,
  name: `<hyper::proto::h1::role::${side} as hyper::proto::h1::Http1Transaction>::${method}`,
  own: `<${side} as Http1Transaction>::${method}`,
  parts: PARTS[method],
  pointers: ['rsi', 'rdx'],
});

const PARTS = {
  parse:
    /^(?:Server|Client)::(?:record_path_range|decoder|obs_fold_line.*)$|^<.*>::on_error$|^record_header_indices$|^is_complete_fast$|^can_.*$/,
  encode:
    /^(?:Server|Client)::(?:encode_headers.*|set_length|can_.*)$|^set_content_length$|^title_case$|^write_headers.*$|^<FastWrite as Write>::.*$|^extend$/,
};

/** A function with a panic location of the one that is looked for: itself, or what has it inside. */
export interface Host {
  readonly one: CodeFunction;
  readonly named: readonly NamedUse[];
}

export const hostsOf = (program: Program, { own }: Transaction): readonly Host[] =>
  program
    .functionsOf('hyper', ROLE)
    .map((one) => ({ one, named: namesIn(program, one) }))
    .filter(({ named }) => named.some(({ name }) => name === own));

const BESIDE = /^src\/common\/date\.rs$|^src\/headers\.rs$|^src\/ext/;

/** Whether a line is the function's own, or of what it may have inside. */
export function isOwnLine({ use: { location }, name }: NamedUse, { own, parts }: Transaction): boolean {
  const { source } = location;
  if (source?.crate !== 'hyper') return source !== undefined && HELPERS.has(source.crate);
  if (!ROLE.test(source.file)) return BESIDE.test(source.file);
  return name !== undefined && (name === own || parts.test(name));
}

/** The function itself, not one into which it is inlined: nothing in it is from elsewhere. */
export function ownFunction(
  program: Program,
  { one, named }: Host,
  wanted: Transaction,
): RecoveredFunction | undefined {
  const { name, own, pointers } = wanted;
  if (!named.every((line) => isOwnLine(line, wanted))) return undefined;
  if (!pointers.every((pointer) => isPointer(program, one, pointer))) return undefined;
  const lines = [...new Set(named.filter((each) => each.name === own).map((each) => each.use.location.line))];
  const version = named.find((each) => each.name === own);
  const exact = version?.use.location.source?.version === version?.linesOf;
  const lineText = `panic location${lines.length > 1 ? 's' : ''} at line ${lines.sort((a, b) => a - b).join(', ')} of role.rs`;
  const evidence = `${lineText}${exact ? '' : ` (lines of hyper ${version?.linesOf})`}, pointers in ${pointers.join(' and ')}`;
  return { name, svma: one.svma, size: one.size, evidence };
}

/** It looks behind the argument, or what it hands it to does: code built for size leaves a Vec to its methods. */
function isPointer(program: Program, one: CodeFunction, register: ArgumentRegister): boolean {
  if (program.argumentUse(one).has(register)) return true;
  const passed = program.argumentsPassed(one).filter(({ argument }) => argument === register);
  return passed.some(({ callee, as }) => program.argumentUse(callee).has(as));
}
