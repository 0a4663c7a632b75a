import type { CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser, RecoveredFunction } from '../../recover/recogniser.ts';
import { linesIn } from '../../recover/spans.ts';

const NAME =
  '<tonic::transport::channel::Channel as tower_service::Service<http::request::Request<_>>>::call';
const BUFFER = /^src\/buffer\/service\.rs$/;
/** tower's Buffer, which a Channel hands its requests to. */
const OWN = '<Buffer as Service>::call';
/** What may be inlined into it: a permit, a oneshot, the events around it. */
const INSIDE =
  /^(?:tower|tokio|tokio-util|http|http-body.*|bytes|futures-.*|tracing.*|log|pin-project.*|core|alloc|std)$/;
/** tonic's client, which calls its channel. */
const CLIENT = /^src\/client\/(?:grpc|service)\.rs$/;
/** A function that only jumps: to an address, or to that in a slot of the global offset table. */
const JUMP_SIZES = [5, 6];

/**
 * `<Channel as Service>::call` hands its arguments to `<Buffer as Service>::call` as they are: it has that inlined, is a jump to
 * it, or is inlined itself, and then the Buffer's is the one that tonic's client calls.
 * Other buffers are no callee of tonic's client.
 */
export const channelCall: Recogniser = (program) => {
  const buffers = channelBuffers(program);
  return 'reason' in buffers ? buffers : { found: [buffers.call] };
};

export interface Buffers {
  /** The channel's. */
  readonly own: CodeFunction;
  readonly others: readonly CodeFunction[];
  readonly call: RecoveredFunction;
}

const known = new WeakMap<Program, Buffers | { readonly reason: string }>();

/** Functions that are `<Buffer as Service>::call`, one of them tonic's. */
export function channelBuffers(program: Program): Buffers | { readonly reason: string } {
  const found = known.get(program) ?? findBuffers(program);
  known.set(program, found);
  return found;
}

function findBuffers(program: Program): Buffers | { readonly reason: string } {
  const buffers = buffersIn(program);
  if (buffers.length === 0) return { reason: `no panic location and no event of tower's ${OWN} was found` };
  const found = buffers.flatMap((own) => callsOf(program, own).map((call) => ({ own, call })));
  const [first, ...more] = found;
  if (!first) return { reason: "no buffer of tower that tonic's client calls was found" };
  if (more.length > 0) return { reason: `${found.length} functions look like tonic's Channel` };
  return { ...first, others: buffers.filter(({ svma }) => svma !== first.own.svma) };
}

function buffersIn(program: Program): readonly CodeFunction[] {
  const users = [...program.functionsOf('tower', BUFFER), ...program.tracedIn('tower', BUFFER)];
  const distinct = [...new Map(users.map((one) => [one.svma, one])).values()];
  return distinct.filter((one) => {
    const lines = linesIn(program, one);
    const inside = lines.every(({ use: { location }, name }) => {
      const { source } = location;
      if (source?.crate !== 'tower') return source !== undefined && INSIDE.test(source.crate);
      return name === OWN || name === 'Buffer::get_worker_error' || !BUFFER.test(source.file);
    });
    const { read } = program.argumentFlow(one);
    const taken = read.has('rdi') && read.has('rsi') && read.has('rdx');
    return inside && taken && lines.some(({ name }) => name === OWN);
  });
}

function callsOf(program: Program, buffer: CodeFunction): readonly RecoveredFunction[] {
  const callers = program.callers(buffer).map((at) => at.function);
  const distinct = [...new Map(callers.map((one) => [one.svma, one])).values()];
  const recovered = (one: CodeFunction, what: string): RecoveredFunction => ({
    name: NAME,
    svma: one.svma,
    size: one.size,
    evidence: `${what} of tower's Buffer, takes three arguments, and tonic's client calls it`,
  });
  const jumps = distinct.filter((one) => JUMP_SIZES.includes(one.size) && isCalledByClient(program, one));
  return [
    ...(isCalledByClient(program, buffer) ? [recovered(buffer, 'has the lines')] : []),
    ...jumps.map((one) => recovered(one, 'jumps to the call')),
  ];
}

/** Functions with lines of tonic's client. */
export const clientCode = (program: Program): readonly CodeFunction[] => program.functionsOf('tonic', CLIENT);

const isCalledByClient = (program: Program, one: CodeFunction): boolean =>
  program
    .callers(one)
    .some((at) =>
      program
        .locationsIn(at.function)
        .some(({ location: { source } }) => source?.crate === 'tonic' && CLIENT.test(source.file)),
    );
