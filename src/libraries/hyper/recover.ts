import type { ArgumentRegister, CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser, Recognition, RecoveredFunction, RecoveredSite } from '../../recover/recogniser.ts';
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
  readonly pointers: readonly ArgumentRegister[];
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
  const sites = hosts.flatMap(({ one, named }) => writtenHead(program, one, named, wanted));
  if (found.length + sites.length === hosts.length) return { found, sites };
  // A hook that misses some would leave requests without responses.
  return {
    reason: `${wanted.own} is inlined into ${hosts.length - found.length - sites.length} other functions`,
  };
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

const RSI = 6;
const RDI = 7;
const WRITE_HEAD =
  /^(?:Conn::(?:write_head|encode_head|enforce_version|fix_keep_alive|can_.*|.*keep_alive.*))$/;

/**
 * `Conn::write_head(&mut self rdi, head: MessageHead rsi, body)` of a client, with `Client::encode` inlined: what it hands
 * on to write_headers, which takes the HeaderMap that a head begins with, is what it was given in rsi.
 */
function writtenHead(
  program: Program,
  one: CodeFunction,
  named: readonly NamedUse[],
  { own, parts }: Transaction,
): readonly RecoveredSite[] {
  const isOwn = ({ use: { location }, name }: NamedUse): boolean => {
    const { source } = location;
    if (source?.crate !== 'hyper') return source !== undefined && HELPERS.has(source.crate);
    return name === undefined
      ? !ROLE.test(source.file)
      : name === own || parts.test(name) || WRITE_HEAD.test(name);
  };
  if (!own.startsWith('<Client') || !own.endsWith('encode') || !named.every(isOwn)) return [];
  const given = new Map<number, boolean>();
  program.flow(one, ({ target, placeIn }) => {
    const callee = target === undefined ? undefined : program.startsAt(target);
    if (!callee || !writesHeaders(program, callee)) return;
    const head = placeIn(RDI);
    given.set(callee.svma, head?.base === 'rsi' && head.displacement === 0);
  });
  if (given.size < 2 || ![...given.values()].every(Boolean)) return [];
  const evidence = `panic locations of ${own}, which is inlined; hands the head in rsi on to ${given.size} functions that write headers`;
  const host = {
    name: 'hyper::proto::h1::conn::Conn<I,B,T>::write_head',
    svma: one.svma,
    size: one.size,
    evidence,
  };
  return [{ function: host, offset: 0, register: RSI, displacement: 0 }];
}

/** `write_headers` and `write_headers_title_case`: all their panic locations are of the iteration over a HeaderMap. */
function writesHeaders(program: Program, one: CodeFunction): boolean {
  const uses = namesIn(program, one);
  const iterates = ({ use, name }: NamedUse) =>
    use.location.source?.crate === 'http' && name === '<Iter as Iterator>::next';
  return uses.length > 0 && uses.every(iterates);
}

/** Any code of `tokio::time::sleep`. */
export const tokioSleep: Recogniser = (program) => {
  const [one] = program.functionsOf('tokio', /^src\/time\/sleep\.rs$/);
  if (!one) return { reason: 'no panic location of tokio::time::sleep was found' };
  return { found: [{ ...one, name: 'tokio::time::sleep', evidence: 'a panic location of time/sleep.rs' }] };
};

/** Any code of `role::Server`. */
export const serverCode: Recogniser = (program) => {
  const isServer = ({ use, name }: NamedUse) =>
    use.location.source?.crate === 'hyper' && /^<Server as Http1Transaction>::|^Server::/.test(name ?? '');
  const one = program.functionsOf('hyper', ROLE).find((each) => namesIn(program, each).some(isServer));
  if (!one) return { reason: 'no panic location of role::Server was found' };
  const name = '<hyper::proto::h1::role::Server>';
  return { found: [{ ...one, name, evidence: 'panic locations of role::Server' }] };
};
