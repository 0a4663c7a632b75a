import type { CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser } from '../../recover/recogniser.ts';
import { type Buffers, channelBuffers, clientCode } from './recover.ts';

const NAME = 'core::ptr::drop_in_place<tonic::transport::channel::ResponseFuture>';
/** Of a future of tower's Buffer: its state, then two words of a box, or the receiver of a oneshot channel. */
const STATE = 0;
const RECEIVER = 8;
const PLACES = [STATE, RECEIVER, 16];
/** Drop glue that does so, with all that may be inlined into it. */
const MAX_GLUE = 1024;
/** Where tower's future has a line, that of its poll: it drops the receiver when it gets its answer. */
const FUTURE = /^src\/buffer\/future\.rs$/;
const MAX_POLL = 1024;
/** From a receiver's `drop` to where its channel's state is changed: Inner::close, State::set_closed. */
const CALLS_TO_STATE = 2;

/**
 * Drop glue of a channel's future, one function in each unit of the program that drops one. It destroys what tower's
 * Buffer has made for it, the receiver of a channel for one answer, by the functions by which `Buffer::call` destroys a
 * receiver that nobody gets. No other type has a receiver of that kind behind a state.
 */
export const channelDrop: Recogniser = (program) => {
  const buffers = channelBuffers(program);
  if ('reason' in buffers) return buffers;
  const receiver = receiverOf(program, buffers);
  const called = clientCode(program).flatMap((one) => program.probableCallees(one));
  const seeds = distinct(called).filter((one) => drops(program, one, receiver));
  const [first, ...more] = seeds.map((one) => destroyers(program, one, receiver));
  const common = (first ?? []).filter((each) => more.every((other) => other.includes(each)));
  const users = common.flatMap((each) => program.callers(each).map((at) => at.function));
  const futures = distinct(users).filter(
    (one) =>
      drops(program, one, receiver) &&
      common.every((each) => destroyers(program, one, receiver).includes(each)),
  );
  if (futures.length === 0)
    return { reason: "tonic's client calls no function that drops a future of its channel" };
  const evidence =
    "looks at a state, closes and frees what Buffer::call makes for an answer behind it, and tonic's client calls such a function";
  return { found: futures.map(({ svma, size }) => ({ name: NAME, svma, size, evidence })) };
};

/** What it has in common with the channel's Buffer, which must all be there in each: one alone may destroy other things, too. */
function destroyers(program: Program, one: CodeFunction, receiver: Receiver): readonly CodeFunction[] {
  const used = [...program.callees(one), ...program.sharedDrops(one)];
  const wanted = new Set(used.map(({ svma }) => svma));
  return [...receiver.closing, ...receiver.freeing].filter(({ svma }) => wanted.has(svma));
}

/** What destroys the receiver of an answer. */
interface Receiver {
  /** Its `drop`, where that is not inlined: changes the channel's state. */
  readonly closing: readonly CodeFunction[];
  /** What the last one to hold the channel calls. */
  readonly freeing: readonly CodeFunction[];
}

/** As the channel's Buffer does, and no other buffer in the program. */
function receiverOf(program: Program, { own, others }: Buffers): Receiver {
  const elsewhere = others.map((one) => destroyedBy(program, one));
  const isOwn = ({ svma }: CodeFunction): boolean =>
    elsewhere.every((one) => [...one.closing, ...one.freeing].every((each) => each.svma !== svma));
  const { closing, freeing } = destroyedBy(program, own);
  return { closing: closing.filter(isOwn), freeing: freeing.filter(isOwn) };
}

/** Itself, or by small functions without lines that take a pointer and nothing else. */
function destroyedBy(program: Program, one: CodeFunction): Receiver {
  const called = distinct(program.callees(one)).filter(
    (each) => closes(program, each, CALLS_TO_STATE + 1) && takesPointer(program, each),
  );
  const handed = called.flatMap((each) => program.argumentsPassed(each));
  const dropped = handed.filter(({ argument, as }) => argument === 'rdi' && as === 'rdi');
  const candidates = distinct([...called, ...dropped.map(({ callee }) => callee)]);
  return {
    closing: candidates.filter((each) => closes(program, each)),
    freeing: distinct([one, ...called].flatMap((each) => program.sharedDrops(each))),
  };
}

function takesPointer(program: Program, one: CodeFunction): boolean {
  const read = program.argumentsRead(one);
  return read.size === 1 && read.has('rdi');
}

const isGlue = (program: Program, one: CodeFunction): boolean =>
  one.size <= MAX_GLUE && program.locationsIn(one).length === 0 && program.eventsIn(one).length === 0;

/** State::set_closed: an exchange that is tried until it succeeds. */
function closes(program: Program, one: CodeFunction, depth = CALLS_TO_STATE): boolean {
  if (!isGlue(program, one)) return false;
  if (program.factsOf(one)?.exchanges) return true;
  return depth > 0 && program.callees(one).some((each) => closes(program, each, depth - 1));
}

function drops(program: Program, one: CodeFunction, { closing, freeing }: Receiver): boolean {
  if (!isGlue(program, one)) return false;
  const isIn = (functions: readonly CodeFunction[]) => (each: CodeFunction) =>
    functions.some(({ svma }) => svma === each.svma);
  const isDestroyer = isIn([...closing, ...freeing]);
  if (!program.probableCallees(one).some(isDestroyer) || !takesPointer(program, one)) return false;
  const frees = program.sharedDrops(one).some(isIn(freeing));
  const members = program
    .membersPassed(one)
    .filter(
      ({ argument, displacement, as }) => argument === 'rdi' && displacement === RECEIVER && as === 'rdi',
    )
    .map(({ callee }) => callee);
  const closesIt = program.factsOf(one)?.exchanges || members.some((each) => closes(program, each));
  const isReceiver = frees ? closesIt : members.some(isIn(closing));
  return isReceiver && isState(program, one, members.length > 0) && !isAround(program, one);
}

function isState(program: Program, one: CodeFunction, handsReceiver: boolean): boolean {
  const { behind } = program.argumentFlow(one);
  const places = [...(behind.get('rdi') ?? []), ...(program.argumentUse(one).get('rdi') ?? [])];
  const hasReceiver = handsReceiver || places.includes(RECEIVER);
  const fits = places.includes(STATE) && places.every((place) => PLACES.includes(place));
  return fits && hasReceiver && !isDroppedByPoll(program, one);
}

/** The future's poll replaces its state, where that is, by another function of the same kind. */
const isDroppedByPoll = (program: Program, one: CodeFunction): boolean =>
  distinct(program.callers(one).map((at) => at.function)).some((caller) => {
    const sources = program.locationsIn(caller).map(({ location }) => location.source);
    if (sources.some((source) => source?.crate === 'tower' && FUTURE.test(source.file))) return true;
    const isClient = sources.some((source) => source?.crate === 'tonic');
    return !isClient && caller.size <= MAX_POLL && givesItself(program, caller, one);
  });

/** `fn poll(out rdi, self rsi, …)` in its own place. */
const givesItself = (program: Program, caller: CodeFunction, { svma }: CodeFunction): boolean =>
  program.argumentsRead(caller).has('rsi') &&
  program
    .argumentsPassed(caller)
    .some(({ argument, as, callee }) => callee.svma === svma && as === 'rdi' && argument !== 'rdi');

/** A future around it has one state more: of up to three, or with the older tower's two boxes of up to four. */
function isAround(program: Program, one: CodeFunction): boolean {
  const compared = program.comparedFirstWord(one, 'rdi');
  return compared.has(4) || (compared.has(3) && !compared.has(2));
}

const distinct = (functions: readonly CodeFunction[]): readonly CodeFunction[] => [
  ...new Map(functions.map((one) => [one.svma, one])).values(),
];
