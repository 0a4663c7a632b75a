import type { CodeFunction, Program } from '../../recover/program.ts';
import type { RecoveredSite } from '../../recover/recogniser.ts';
import { type NamedUse, namesIn } from '../../recover/spans.ts';
import { HELPERS, type Host, ROLE, type Transaction } from './transaction.ts';

const RDI = 7;
const WRITE_HEAD =
  /^(?:Conn::(?:write_head|encode_head|enforce_version|fix_keep_alive|can_.*|.*keep_alive.*))$/;

/**
 * `Conn::write_head(&mut self rdi, head: MessageHead rsi, body)` with the encoder inlined. The connection is known by the Conn.
 */
export function writtenHead(
  program: Program,
  { one, named }: Host,
  { side, own, parts }: Transaction,
): RecoveredSite | undefined {
  const isOwn = ({ use: { location }, name }: NamedUse): boolean => {
    const { source } = location;
    if (source?.crate !== 'hyper') return source !== undefined && HELPERS.has(source.crate);
    return name === undefined
      ? !ROLE.test(source.file)
      : name === own || parts.test(name) || WRITE_HEAD.test(name);
  };
  const evidence = named.every(isOwn)
    ? side === 'Client'
      ? handsOnHead(program, one)
      : looksAtHead(program, one)
    : undefined;
  if (evidence === undefined) return undefined;
  const host = {
    ...one,
    name: 'hyper::proto::h1::conn::Conn<I,B,T>::write_head',
    evidence: `panic locations of ${own}, which is inlined; ${evidence}`,
  };
  return { function: host, offset: 0, arguments: ['rdi', 'rsi'], register: RDI, displacement: 0 };
}

/** A client's: what it hands on to write_headers, which takes the HeaderMap that a head begins with, is what it was given in rsi. */
function handsOnHead(program: Program, one: CodeFunction): string | undefined {
  const given = new Map<number, boolean>();
  program.flow(one, ({ target, placeIn }) => {
    const callee = target === undefined ? undefined : program.startsAt(target);
    if (!callee || !writesHeaders(program, callee)) return;
    const head = placeIn(RDI);
    given.set(callee.svma, head?.base === 'rsi' && head.displacement === 0);
  });
  if (given.size < 2 || ![...given.values()].every(Boolean)) return undefined;
  return `hands the head in rsi on to ${given.size} functions that write headers`;
}

/** Of MessageHead<StatusCode>: the HeaderMap's members, extensions, status and version. */
const HEAD = { members: [24, 32, 40, 48, 56, 64, 72, 80, 88], extensions: 96, status: 104, version: 106 };
const HEAD_SIZE = 112;

/** A server's moves the head out of rsi as a whole, and looks at much more of what rdi points to. */
function looksAtHead(program: Program, one: CodeFunction): string | undefined {
  const { behind } = program.argumentFlow(one);
  const head = behind.get('rsi');
  const connection = [...(behind.get('rdi') ?? [])];
  const { members, extensions, status, version } = HEAD;
  const all = head && [...members, extensions, status, version].every((place) => head.has(place));
  if (!all || ![...head].every((place) => place < HEAD_SIZE)) return undefined;
  if (!connection.some((place) => place >= 2 * HEAD_SIZE)) return undefined;
  return 'looks at all of a head with a status in rsi, and at a connection in rdi';
}

/** `write_headers` and `write_headers_title_case`: all their panic locations are of the iteration over a HeaderMap. */
function writesHeaders(program: Program, one: CodeFunction): boolean {
  const uses = namesIn(program, one);
  const iterates = ({ use, name }: NamedUse) =>
    use.location.source?.crate === 'http' && name === '<Iter as Iterator>::next';
  return uses.length > 0 && uses.every(iterates);
}
