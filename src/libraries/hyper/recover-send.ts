import { looksAt } from '../../recover/arguments.ts';
import type { CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser } from '../../recover/recogniser.ts';
import { namesIn } from '../../recover/spans.ts';

const NAME = 'hyper::client::dispatch::Sender<T,U>::try_send';
const DISPATCH = /^src\/client\/dispatch\.rs$/;
const OWN = 'Sender::try_send';
/** What may be inlined into it: a oneshot channel, the queue to the connection. */
const INSIDE = /^(?:hyper|tokio|want|futures-.*|http|bytes|core|alloc|std)$/;
/** A Sender: whether it has sent, and two pointers. */
const SENDER = { all: [0, 8, 16, 24], needed: [8] };

/**
 * `fn Sender::try_send(out rdi, &mut self rsi, request rdx)` gets its request back when the connection is gone, and expects
 * that: a panic location of its own, one function for each type of body.
 */
export const trySend: Recogniser = (program) => {
  const hosts = program.functionsOf('hyper', DISPATCH).filter((one) => has(program, one, OWN));
  if (hosts.length === 0) return { reason: `no panic location of ${OWN} was found` };
  const found = hosts.filter((one) => isPure(program, one) && takesRequest(program, one));
  if (found.length < hosts.length)
    return { reason: `${OWN} is inlined into ${hosts.length - found.length} other functions` };
  const evidence = `panic location of ${OWN} and of nothing else of hyper, arguments in rdi, rsi, rdx, rsi points to a Sender`;
  return { found: found.map(({ svma, size }) => ({ name: NAME, svma, size, evidence })) };
};

const has = (program: Program, one: CodeFunction, own: string): boolean =>
  namesIn(program, one).some(({ use, name }) => use.location.source?.crate === 'hyper' && name === own);

const isPure = (program: Program, one: CodeFunction): boolean =>
  namesIn(program, one).every(({ use: { location }, name }) => {
    const { source } = location;
    return source !== undefined && INSIDE.test(source.crate) && (source.crate !== 'hyper' || name === OWN);
  });

function takesRequest(program: Program, one: CodeFunction): boolean {
  const { read } = program.argumentFlow(one);
  return read.has('rdi') && read.has('rsi') && read.has('rdx') && looksAt(program, one, 'rsi', SENDER);
}
