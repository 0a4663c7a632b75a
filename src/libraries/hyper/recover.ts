import type { CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser, Recognition, RecoveredFunction } from '../../recover/recogniser.ts';
import { type NamedUse, namesIn } from '../../recover/spans.ts';

const ROLE = /^src\/proto\/h1\/role\.rs$/;
/** Crates whose functions may be inlined into one that parses or writes a head. */
const HELPERS = new Set([
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

interface Transaction {
  /** Demangled name of the function that is looked for. */
  readonly name: string;
  /** Its own name in the table of lines. */
  readonly own: string;
  /** Other functions of the file that may be inlined into it. */
  readonly parts: RegExp;
  /** Arguments that it takes for pointers. */
  readonly pointers: readonly string[];
}

const transaction = (side: 'Server' | 'Client', method: 'parse' | 'encode'): Transaction => ({
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

/** `Http1Transaction::parse` and `encode` of one side, where they are functions of their own. */
export const transactionOf =
  (side: 'Server' | 'Client', method: 'parse' | 'encode'): Recogniser =>
  (program) =>
    recogniseTransaction(program, transaction(side, method));

function recogniseTransaction(program: Program, wanted: Transaction): Recognition {
  const hosts = program
    .functionsOf('hyper', ROLE)
    .map((one) => ({ one, named: namesIn(program, one) }))
    .filter(({ named }) => named.some(({ name }) => name === wanted.own));
  if (hosts.length === 0) return { reason: `no panic location of ${wanted.own} was found` };
  const found = hosts.flatMap(({ one, named }) => recovered(program, one, named, wanted) ?? []);
  if (found.length > 0) return { found };
  return { reason: `${wanted.own} is inlined into another function` };
}

/** The function itself, not one into which it is inlined: nothing in it is from elsewhere. */
function recovered(
  program: Program,
  one: CodeFunction,
  named: readonly NamedUse[],
  { name, own, parts, pointers }: Transaction,
): RecoveredFunction | undefined {
  const isOwn = ({ use: { location }, name: from }: NamedUse): boolean => {
    const { source } = location;
    if (source?.crate !== 'hyper') return source !== undefined && HELPERS.has(source.crate);
    if (!ROLE.test(source.file))
      return /^src\/common\/date\.rs$|^src\/headers\.rs$|^src\/ext/.test(source.file);
    return from !== undefined && (from === own || parts.test(from));
  };
  if (!named.every(isOwn)) return undefined;
  const use = program.argumentUse(one);
  if (pointers.some((pointer) => !use.has(pointer))) return undefined;
  const lines = [...new Set(named.filter((each) => each.name === own).map((each) => each.use.location.line))];
  const version = named.find((each) => each.name === own);
  const exact = version?.use.location.source?.version === version?.linesOf;
  const lineText = `panic location${lines.length > 1 ? 's' : ''} at line ${lines.sort((a, b) => a - b).join(', ')} of role.rs`;
  const evidence = `${lineText}${exact ? '' : ` (lines of hyper ${version?.linesOf})`}, pointers in ${pointers.join(' and ')}`;
  return { name, svma: one.svma, size: one.size, evidence };
}

/** Any code of `tokio::time::sleep`. */
export const tokioSleep: Recogniser = (program) => {
  const [one] = program.functionsOf('tokio', /^src\/time\/sleep\.rs$/);
  if (!one) return { reason: 'no panic location of tokio::time::sleep was found' };
  return { found: [{ ...one, name: 'tokio::time::sleep', evidence: 'a panic location of time/sleep.rs' }] };
};
