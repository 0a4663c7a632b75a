import type { CodeFunction, Program } from '../../recover/program.ts';
import type { RecoveredSite } from '../../recover/recogniser.ts';
import { type NamedUse, namesIn } from '../../recover/spans.ts';
import { HELPERS, type Host, ROLE, type Transaction } from './transaction.ts';

const RDI = 7;
const WRITE_HEAD =
  /^(?:Conn::(?:write_head|encode_head|enforce_version|fix_keep_alive|can_.*|.*keep_alive.*))$/;

/**
 * `Conn::write_head(&mut self rdi, head: MessageHead rsi, body)` of a client, with `Client::encode` inlined: what it hands
 * on to write_headers, which takes the HeaderMap that a head begins with, is what it was given in rsi. The connection is
 * known by the Conn.
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
  if (side !== 'Client' || !named.every(isOwn)) return undefined;
  const given = new Map<number, boolean>();
  program.flow(one, ({ target, placeIn }) => {
    const callee = target === undefined ? undefined : program.startsAt(target);
    if (!callee || !writesHeaders(program, callee)) return;
    const head = placeIn(RDI);
    given.set(callee.svma, head?.base === 'rsi' && head.displacement === 0);
  });
  if (given.size < 2 || ![...given.values()].every(Boolean)) return undefined;
  const evidence = `panic locations of ${own}, which is inlined; hands the head in rsi on to ${given.size} functions that write headers`;
  const host = { ...one, name: 'hyper::proto::h1::conn::Conn<I,B,T>::write_head', evidence };
  return { function: host, offset: 0, arguments: ['rdi', 'rsi'], register: RDI, displacement: 0 };
}

/** `write_headers` and `write_headers_title_case`: all their panic locations are of the iteration over a HeaderMap. */
function writesHeaders(program: Program, one: CodeFunction): boolean {
  const uses = namesIn(program, one);
  const iterates = ({ use, name }: NamedUse) =>
    use.location.source?.crate === 'http' && name === '<Iter as Iterator>::next';
  return uses.length > 0 && uses.every(iterates);
}
