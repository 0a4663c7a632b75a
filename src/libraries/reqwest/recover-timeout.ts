import { describe } from '../../recover/describe.ts';
import type { CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser, RecoveredSite } from '../../recover/recogniser.ts';
import { requestPolls, timedOutTables } from './recover.ts';

export const REQUEST_FUTURE =
  '<reqwest::async_impl::client::PendingRequest as core::future::future::Future>::poll';
const MAX_MAKER = 1024;
/** From the vtable to the future: Box::from, Error::new, error::request. */
const MAKERS = 3;
/** `call rel32`, `jmp rel32`; of others the place is the byte behind the opcode. */
const RELATIVE_CALLS = [0xe8, 0xe9];

/**
 * Where a request's future calls what makes the time-out error, in programs in which that is a function of its own, as
 * those built for size.
 */
export const timeoutCalls: Recogniser = (program) => {
  const polls = requestPolls(program);
  const makers = makersOf(program, polls);
  const sites = makers.flatMap((maker) =>
    program.callers(maker).flatMap(({ place, function: poll }): readonly RecoveredSite[] => {
      const offset = polls.has(poll.svma) ? callOffset(program, poll, place) : undefined;
      if (offset === undefined) return [];
      const evidence = `the future of a request: ${describe(program, poll)}, which calls what makes an error that says it timed out`;
      return [
        { function: { ...poll, name: REQUEST_FUTURE, evidence }, offset, register: 0, displacement: 0 },
      ];
    }),
  );
  if (sites.length === 0)
    return { reason: "no future of a request that calls what makes reqwest's time-out error was found" };
  return { found: [], sites: sites.toSorted((a, b) => a.offset - b.offset) };
};

/** Functions that make the error, and nothing else. */
function makersOf(program: Program, polls: ReadonlyMap<number, CodeFunction>): readonly CodeFunction[] {
  const isMaker = (one: CodeFunction) => !polls.has(one.svma) && makes(program, one);
  const users = timedOutTables(program).flatMap((table) => program.usersOf(table));
  let front = distinct(users.map((at) => at.function)).filter(isMaker);
  const found = [...front];
  for (let level = 1; level < MAKERS; level++) {
    const callers = front.flatMap((one) => program.callers(one).map((at) => at.function));
    front = distinct(callers).filter(isMaker);
    found.push(...front);
  }
  return distinct(found);
}

/**
 * `Error::new::<TimedOut>(&Kind rdi, bool rsi)` looks at the kind, and with the older `Kind` in rdi and rsi, and the bool in
 * rdx, at nothing; `error::request::<TimedOut>()` and `Box::from` are given nothing. A future looks at itself behind rsi.
 * `cast_to_internal_error(Box<dyn Error> rdi and rsi)`, which makes the error in place of another one, takes two and looks
 * behind none of them or behind rsi.
 */
function makes(program: Program, one: CodeFunction): boolean {
  if (one.size > MAX_MAKER || program.locationsIn(one).length > 0) return false;
  const { read, behind } = program.argumentFlow(one);
  if (behind.has('rsi') || behind.has('rdx')) return false;
  const taken = ['rdi', 'rsi', 'rdx'].filter((name) => read.has(name as 'rdi')).length;
  return behind.has('rdi') ? !read.has('rdx') : taken === 0 || taken === 3;
}

function callOffset(program: Program, { svma, size }: CodeFunction, place: number): number | undefined {
  const code = program.codeOf({ svma, size });
  const opcode = code?.bytes[place - svma];
  if (opcode === undefined) return undefined;
  return RELATIVE_CALLS.includes(opcode) ? place - svma : place - svma - 1;
}

const distinct = (functions: readonly CodeFunction[]): readonly CodeFunction[] => [
  ...new Map(functions.map((one) => [one.svma, one])).values(),
];
