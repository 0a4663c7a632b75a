import { looksAt } from '../../recover/arguments.ts';
import { describe } from '../../recover/describe.ts';
import type { CodeFunction, Program } from '../../recover/program.ts';
import type {
  ObjectRecogniser,
  Recogniser,
  RecoveredFunction,
  RecoveredObject,
} from '../../recover/recogniser.ts';
import { namesIn } from '../../recover/spans.ts';

const ASYNC = /^src\/async_impl\/client\.rs$/;
const BLOCKING = /^src\/blocking\/client\.rs$/;
/** A program's own code around reqwest would show. */
const HELPERS =
  /^(?:reqwest|url|http|http-body.*|hyper|hyper-util|bytes|base64|percent-encoding|futures-.*|tokio|tower.*|mime|serde.*|tracing.*|log|pin-project.*|indexmap|hashbrown|core|alloc|std)$/;

/** A client is a pointer to what its copies share; a request reaches further. */
const CLIENT = { all: [0], needed: [0] };
const SMALL = 128;

interface Execute {
  readonly name: string;
  readonly file: RegExp;
  /** In the table of lines. */
  readonly own: string;
  /** Files of reqwest that it may have inside. */
  readonly inside: RegExp;
}

const BLOCKING_EXECUTE: Execute = {
  name: 'reqwest::blocking::client::Client::execute',
  file: BLOCKING,
  own: 'ClientHandle::execute_request',
  inside: /^src\/(?:blocking\/(?:body|wait|request)|async_impl\/(?:request|body)|error)\.rs$/,
};
const ASYNC_EXECUTE: Execute = {
  name: 'reqwest::async_impl::client::Client::execute_request',
  file: ASYNC,
  own: 'Client::execute_request',
  inside:
    /^src\/(?:into_url|proxy|redirect|retry|cookie|error|connect|async_impl\/(?:request|body|decoder))\.rs$/,
};

/** `fn Client::execute(out rdi, &self rsi, Request rdx)`. What has it inside takes no third argument. */
export const blockingExecute: Recogniser = (program) =>
  recognise(program, BLOCKING_EXECUTE, (one) => {
    const { read } = program.argumentFlow(one);
    const handsOn = program
      .argumentsPassed(one)
      .some(({ argument, as, callee }) => argument === 'rdx' && program.argumentFlow(callee).read.has(as));
    return read.has('rdi') && read.has('rsi') && read.has('rdx') && (handsOn || isLarge(program, one, 'rdx'));
  });

/** `fn execute_request(out rdi, &self rsi, Request rdx)`; where the result is small, each argument one register before. */
export const execute: Recogniser = (program) =>
  recognise(program, ASYNC_EXECUTE, (one) => {
    const { read } = program.argumentFlow(one);
    if (read.has('rdx')) return read.has('rdi') && isLarge(program, one, 'rdx');
    return isLarge(program, one, 'rsi') && looksAt(program, one, 'rdi', CLIENT);
  });

const isLarge = (program: Program, one: CodeFunction, register: 'rsi' | 'rdx'): boolean =>
  [...(program.argumentFlow(one).behind.get(register) ?? [])].some((place) => place >= SMALL);

function recognise(program: Program, wanted: Execute, takes: (one: CodeFunction) => boolean) {
  const hosts = program
    .functionsOf('reqwest', wanted.file)
    .filter((one) => hasLine(program, one, wanted.own));
  if (hosts.length === 0) return { reason: `no panic location of ${wanted.own} was found` };
  const found = hosts.filter((one) => isPure(program, one, wanted) && takes(one));
  if (found.length === 0) return { reason: `${wanted.own} is inlined into another function` };
  if (found.length > 1) return { reason: `${found.length} functions look like ${wanted.name}` };
  const evidence = `lines of ${wanted.own} and nothing from elsewhere, takes a client and a request`;
  return { found: found.map((one): RecoveredFunction => ({ ...one, name: wanted.name, evidence })) };
}

const hasLine = (program: Program, one: CodeFunction, own: string): boolean =>
  namesIn(program, one).some(({ use, name }) => use.location.source?.crate === 'reqwest' && name === own);

const isPure = (program: Program, one: CodeFunction, { own, inside }: Execute): boolean =>
  namesIn(program, one).every(({ use: { location }, name }) => {
    const { source } = location;
    if (source === undefined || !HELPERS.test(source.crate)) return false;
    return source.crate !== 'reqwest' || name === own || inside.test(source.file);
  });

const MESSAGE = 'operation timed out';
/** Display of a unit struct: loads a text, calls. */
const TINY = 48;
const WORD = 8;
/** `<Pending as Future>::poll` looks which of two it is, and calls: 82 bytes. Larger ones have it inlined. */
const MAX_PENDING = 128;
/** `<Pin<&mut PendingRequest> as Future>::poll`: a load and a jump, where nothing is inlined. */
const SHIM = 16;
const DISPLAY_WORD = 4;
const POLL_LINES = '<PendingRequest as Future>::poll';
const POLL = '<reqwest::async_impl::client::PendingRequest as core::future::future::Future>::poll';

/**
 * Vtables of `dyn Error` of TimedOut, which hyper has one like: reqwest's is the one that the future of a request loads. Of
 * that future's `poll` the lines tell, or that `<Pending as Future>::poll`, which has some, calls it.
 */
export const timedOut: ObjectRecogniser = (program) => {
  const polls = requestPolls(program);
  const found = timedOutTables(program).flatMap((table) => objectAt(program, table, polls));
  return found.length > 0
    ? { found }
    : { reason: "no future of a request that loads reqwest's time-out error was found" };
};

/** Vtables of unit structs whose Display says MESSAGE. */
export function timedOutTables(program: Program): readonly number[] {
  const displays = program
    .usersBeforeText(MESSAGE, 0)
    .map((at) => at.function)
    .filter(({ size }) => size <= TINY);
  return displays
    .flatMap(({ svma }) => program.pointersTo(svma).map((slot) => slot - DISPLAY_WORD * WORD))
    .filter((table) => isUnitVtable(program, table));
}

/** Destructor, size, alignment, Debug, Display. */
function isUnitVtable(program: Program, table: number): boolean {
  const word = (index: number) => program.image.u64(table + index * WORD);
  const drop = word(0);
  const dropped = drop === 0 || (drop !== undefined && program.startsAt(drop) !== undefined);
  return dropped && word(1) === 0 && word(2) === 1 && program.startsAt(word(3) ?? 0) !== undefined;
}

/** `poll` of a request's future. */
export function requestPolls(program: Program): ReadonlyMap<number, CodeFunction> {
  const hosts = program.functionsOf('reqwest', ASYNC);
  const pending = hosts.filter(
    (one) => one.size <= MAX_PENDING && hasLine(program, one, '<Pending as Future>::poll'),
  );
  const named = hosts.filter((one) => hasLine(program, one, POLL_LINES) && isRequestPoll(program, one));
  const called = pending
    .flatMap((one) => program.callees(one))
    .flatMap((one) => (one.size <= SHIM ? program.callees(one) : [one]))
    .filter((one) => namesIn(program, one).every(({ use }) => use.location.source?.crate !== 'reqwest'));
  return new Map([...named, ...called].map((one) => [one.svma, one]));
}

/** Bodies, connections and the blocking client have time-outs of their own. */
const OTHER_TIMEOUTS = /^src\/(?:async_impl\/body|connect|blocking\/.*)\.rs$/;

const isRequestPoll = (program: Program, one: CodeFunction): boolean =>
  namesIn(program, one).every(({ use: { location }, name }) => {
    const { source } = location;
    if (source?.crate !== 'reqwest') return source !== undefined && HELPERS.test(source.crate);
    if (ASYNC.test(source.file)) return name === POLL_LINES || name?.startsWith('PendingRequest::') === true;
    return !OTHER_TIMEOUTS.test(source.file);
  });

function objectAt(
  program: Program,
  table: number,
  polls: ReadonlyMap<number, CodeFunction>,
): readonly RecoveredObject[] {
  const users = program.usersOf(table).flatMap((at) => polls.get(at.function.svma) ?? []);
  const distinct = [...new Map(users.map((one) => [one.svma, one])).values()];
  if (distinct.length === 0) return [];
  const evidence = `vtable of an error that says "${MESSAGE}"`;
  const named = distinct.map(
    (one): RecoveredFunction => ({
      ...one,
      name: POLL,
      evidence: `the future of a request: ${describe(program, one)}`,
    }),
  );
  return [{ name: `vtable with ${MESSAGE}`, svma: table, size: 0, evidence, pointers: [], users: named }];
}
