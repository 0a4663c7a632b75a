import { looksAt, type Shape } from '../../recover/arguments.ts';
import type { CodeFunction, Program } from '../../recover/program.ts';
import type { RecoveredFunction } from '../../recover/recogniser.ts';
import { linesIn, namesIn } from '../../recover/spans.ts';

/**
 * Methods of h2 that have no line of their own when events are compiled out, as fat link-time optimisation does where
 * nothing subscribes to any. Their panic locations are those of what they look up; what they are follows from who calls
 * them and from their arguments.
 */

/** `store::Ptr`. */
const PTR: Shape = { all: [0, 8, 12], needed: [0, 8, 12] };
/** Of a frame's members, the flags and the stream's number lie behind its headers. */
const FRAME_TAIL = { first: 256, last: 320 };
const STORE = /^src\/proto\/streams\/store\.rs$/;
const INSIDE =
  /^src\/(?:proto\/(?:peer|streams\/(?:store|buffer|counts|stream|state|prioritize))\.rs|frame\/)/;

type Silent = (program: Program) => readonly CodeFunction[];

interface SilentMethod {
  readonly find: Silent;
  readonly evidence: string;
}

/** By the name of the method. */
const SILENT: Readonly<Record<string, SilentMethod>> = {
  'Recv::recv_headers': {
    find: recvHeaders,
    evidence: 'counts a received stream, arguments in rdx, rcx, r8',
  },
  'Recv::recv_trailers': {
    find: recvTrailers,
    evidence:
      'called where headers are received, and nothing else there takes a frame in rdx and a stream in rcx',
  },
  'Send::send_headers': {
    find: sendHeaders,
    evidence: 'asks which side began a stream, a frame in rsi, a stream in rcx',
  },
  'Send::send_reset': {
    find: sendReset,
    evidence: 'called where StreamRef::send_reset changes a state, a stream in r8, a reason in rsi',
  },
  'Recv::enqueue_reset_expiration': {
    find: enqueueReset,
    evidence: 'called where StreamRef::send_reset changes a state, a stream in rsi, counts in rdx',
  },
};

export function recogniseSilent(
  program: Program,
  method: string,
  name: string,
): readonly RecoveredFunction[] {
  const silent = SILENT[method];
  if (!silent) return [];
  return silent.find(program).map(({ svma, size }) => ({ name, svma, size, evidence: silent.evidence }));
}

function recvHeaders(program: Program): readonly CodeFunction[] {
  const counting = withLine(program, /^src\/proto\/streams\/counts\.rs$/, 'Counts::inc_num_recv_streams');
  const found = counting.filter(
    (one) => reads(program, one, ['rdx', 'rcx', 'r8']) && isStream(program, one, 'rcx'),
  );
  return found.length === 1 ? found : [];
}

/** One for each type of body. */
function sendHeaders(program: Program): readonly CodeFunction[] {
  return withLine(program, /^src\/proto\/peer\.rs$/, 'Dyn::is_local_init').filter((one) => {
    const behind = [...(program.argumentFlow(one).behind.get('rsi') ?? [])];
    const isFrame = behind.some((place) => place >= FRAME_TAIL.first && place < FRAME_TAIL.last);
    return isFrame && reads(program, one, ['rdi', 'rcx', 'r8']) && isStream(program, one, 'rcx');
  });
}

function recvTrailers(program: Program): readonly CodeFunction[] {
  const headers = recvHeaders(program);
  const others = new Set([...headers, ...sendHeaders(program)].map(({ svma }) => svma));
  const callers = distinct(headers.flatMap((one) => program.callers(one).map((at) => at.function)));
  const resets = new Set([...sendReset(program), ...enqueueReset(program)].map(({ svma }) => svma));
  if (resets.size === 0) return [];
  const found = distinct(callers.flatMap((one) => program.callees(one))).filter(
    (one) =>
      !others.has(one.svma) &&
      isPure(program, one) &&
      reads(program, one, ['rdi', 'rdx', 'rcx']) &&
      !program.argumentFlow(one).read.has('r8') &&
      isStream(program, one, 'rcx') &&
      !program.callees(one).some(({ svma }) => resets.has(svma)),
  );
  return found.length === 1 ? found : [];
}

function sendReset(program: Program): readonly CodeFunction[] {
  const registers = ['rdi', 'rsi', 'rdx', 'rcx', 'r8'] as const;
  return calledByReset(program, (one) => reads(program, one, registers) && isStream(program, one, 'r8'));
}

function enqueueReset(program: Program): readonly CodeFunction[] {
  const found = calledByReset(program, (one) => {
    const counts = program.argumentFlow(one).behind.get('rdx')?.size ?? 0;
    return counts === COUNTS && reads(program, one, ['rdi', 'rsi', 'rdx']) && isStream(program, one, 'rsi');
  });
  return found.length === 1 ? found : [];
}

/** How many there are, and how many there may be. */
const COUNTS = 2;

/** What is like it and called by a function that resets a stream, or in the transition of the stream's state that this makes. */
function calledByReset(program: Program, isLike: (one: CodeFunction) => boolean): readonly CodeFunction[] {
  const callers = withLine(program, /^src\/proto\/streams\/streams\.rs$/, 'StreamRef::send_reset');
  const found = callers.map((caller) => {
    const called = distinct(program.callees(caller));
    const within = distinct([...called, ...called.flatMap((one) => program.callees(one))]);
    return within.filter((one) => isPure(program, one) && isLike(one));
  });
  return found.every(({ length }) => length === 1) ? distinct(found.flat()) : [];
}

const withLine = (program: Program, file: RegExp, wanted: string): readonly CodeFunction[] =>
  program.functionsOf('h2', file).filter((one) => namesIn(program, one).some(({ name }) => name === wanted));

/** It looks a stream up, and nothing in it is from above streams. */
function isPure(program: Program, one: CodeFunction): boolean {
  const sources = linesIn(program, one).map(({ use }) => use.location.source);
  const fits = sources.every((source) => source?.crate !== 'h2' || INSIDE.test(source.file));
  return fits && sources.some((source) => source?.crate === 'h2' && STORE.test(source.file));
}

type Register = 'rdi' | 'rsi' | 'rdx' | 'rcx' | 'r8';

const reads = (program: Program, one: CodeFunction, registers: readonly Register[]): boolean =>
  registers.every((register) => program.argumentFlow(one).read.has(register));

const isStream = (program: Program, one: CodeFunction, register: Register): boolean =>
  looksAt(program, one, register, PTR, 0);

const distinct = (functions: readonly CodeFunction[]): readonly CodeFunction[] => [
  ...new Map(functions.map((one) => [one.svma, one])).values(),
];
