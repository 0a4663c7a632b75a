import { describe } from '../../recover/describe.ts';
import type { CodeFunction, Program } from '../../recover/program.ts';
import type {
  ObjectRecognition,
  Recognition,
  RecoveredFunction,
  WordRecognition,
} from '../../recover/recogniser.ts';

/** `task::raw::Vtable`: `poll`, six more functions, then where the trailer, the scheduler and the id are in a task. */
const VTABLE_FUNCTIONS = 7;
const VTABLE_SIZE = 80;
const SCHEDULER_OFFSET = 32;
const MAX_TASK = 1 << 24;
/** From `raw::poll` to where the id is set: Harness::poll, Core::poll, TaskIdGuard::enter, set_current_task_id. */
const CALLS_TO_CONTEXT = 4;
const MAX_REACHED = 512;
const WORD = 8;

interface TaskVtable {
  readonly svma: number;
  readonly poll: CodeFunction;
}

const vtables = new WeakMap<Program, readonly TaskVtable[]>();

/** The vtables of all kinds of tasks. */
function taskVtables(program: Program): readonly TaskVtable[] {
  const known = vtables.get(program) ?? findVtables(program);
  vtables.set(program, known);
  return known;
}

function findVtables(program: Program): readonly TaskVtable[] {
  const found: TaskVtable[] = [];
  const isStart = (address: number | undefined) =>
    address !== undefined && program.startsAt(address) !== undefined;
  for (const { svma, bytes } of program.image.ranges) {
    for (
      let at = svma + ((WORD - (svma % WORD)) % WORD);
      at + VTABLE_SIZE <= svma + bytes.length;
      at += WORD
    ) {
      const word = (index: number) => program.image.u64(at + index * WORD) ?? 0;
      if (word(VTABLE_FUNCTIONS + 1) !== SCHEDULER_OFFSET) continue;
      const [trailer, id] = [word(VTABLE_FUNCTIONS), word(VTABLE_FUNCTIONS + 2)];
      if (trailer <= SCHEDULER_OFFSET || trailer > MAX_TASK || trailer % WORD !== 0) continue;
      if (id <= SCHEDULER_OFFSET || id > MAX_TASK || id % WORD !== 0) continue;
      const poll = program.startsAt(word(0));
      if (poll && Array.from({ length: VTABLE_FUNCTIONS }, (_, i) => word(i)).every(isStart))
        found.push({ svma: at, poll });
    }
  }
  return found;
}

/**
 * Thread-local words that each kind of task replaces when it is polled, wherever `TaskIdGuard` is inlined: the id of the
 * running task is one of them.
 */
export function taskWords(program: Program): WordRecognition {
  const polls = new Map(taskVtables(program).map(({ poll }) => [poll.svma, poll]));
  if (polls.size === 0) return { reason: 'no vtable of a Tokio task was found' };
  const replaced = new Map<number, Words>();
  let common: Map<number, Set<number>> | undefined;
  for (const poll of polls.values()) {
    const words = wordsIn(reached(program, poll), program, replaced);
    common ??= words;
    for (const [offset, bytes] of common) {
      const other = words.get(offset);
      if (!other) common.delete(offset);
      else for (const place of other) bytes.add(place);
    }
  }
  const found = [...(common ?? [])].map(([offset, bytes]) => ({
    offset,
    bytes: [...bytes].sort((a, b) => a - b),
  }));
  if (found.length === 0)
    return { reason: 'its tasks have no thread-local word in common that they replace' };
  return { found: found.sort((a, b) => a.offset - b.offset) };
}

function reached(program: Program, start: CodeFunction): readonly CodeFunction[] {
  const seen = new Map([[start.svma, start]]);
  let front = [start];
  for (let step = 0; step < CALLS_TO_CONTEXT; step++) {
    const next = front.flatMap((one) => program.probableCallees(one)).filter(({ svma }) => !seen.has(svma));
    for (const one of next) if (seen.size < MAX_REACHED) seen.set(one.svma, one);
    front = next;
  }
  return [...seen.values()];
}

type Words = ReadonlyMap<number, ReadonlySet<number>>;

function wordsIn(functions: readonly CodeFunction[], program: Program, known: Map<number, Words>) {
  const words = new Map<number, Set<number>>();
  for (const one of functions) {
    const own = known.get(one.svma) ?? replacedWords(program, one);
    known.set(one.svma, own);
    for (const [offset, bytes] of own) words.set(offset, new Set([...(words.get(offset) ?? []), ...bytes]));
  }
  return words;
}

/** Words that the function reads and writes, each with all thread-local bytes that it looks at. */
function replacedWords(program: Program, one: CodeFunction): Words {
  const accesses = program.threadAccesses(one);
  const read = new Set(
    accesses.filter(({ size, read }) => size === WORD && read).map(({ offset }) => offset),
  );
  const written = accesses.filter(({ size, write, offset }) => size === WORD && write && read.has(offset));
  const bytes = new Set(accesses.filter(({ size, read }) => size === 1 && read).map(({ offset }) => offset));
  return new Map(written.map(({ offset }) => [offset, bytes]));
}

/** `tokio::runtime::task::Id::next` as it is in release builds. */
const NEXT_ID = 'tokio::runtime::task::id::Id::next::NEXT_ID';

/** A function of this size that draws an id does nothing else: its callers make the tasks. */
const TINY = 32;
/** From where an id is drawn to where the task's vtable is written. */
const CALLS_TO_VTABLE = 3;

/**
 * The counter of task ids. Tokio has another one of the same shape, for lists of tasks, and programs have theirs: a task's
 * id is drawn where the task is made, so the code around it, or what it calls, writes the address of a task's vtable.
 * Calls of code that draws from another counter are not followed: what that makes is that one's.
 */
export function nextId(program: Program): ObjectRecognition {
  if (taskVtables(program).length === 0) return { reason: 'no vtable of a Tokio task was found' };
  const users = counterUsers(program);
  const counters = [...users].filter(
    ([address, functions]) =>
      program.image.u64(address) === 1 && functions.some((one) => makesTasks(program, one, address, users)),
  );
  const [counter, ...others] = counters;
  if (!counter) return { reason: 'no code that draws an id and makes a task was found' };
  if (others.length > 0) return { reason: `${counters.length} counters are drawn from where tasks are made` };
  const [svma, functions] = counter;
  const evidence = `a counter from 1 that is drawn from where tasks are made, in ${functions.length} functions`;
  const named = functions.map((one) => ({ ...one, name: describe(program, one), evidence }));
  const pointers = program.pointersTo(svma);
  return { found: [{ name: NEXT_ID, svma, size: WORD, evidence, pointers, users: named }] };
}

type CounterUsers = ReadonlyMap<number, readonly CodeFunction[]>;

function makesTasks(program: Program, one: CodeFunction, counter: number, users: CounterUsers): boolean {
  const tables = new Set(taskVtables(program).map(({ svma }) => svma));
  const elsewhere = new Set(
    [...users].flatMap(([address, functions]) =>
      address === counter ? [] : functions.map(({ svma }) => svma),
    ),
  );
  if (elsewhere.has(one.svma)) return false;
  const tiny = one.size <= TINY;
  let front = tiny ? program.callers(one).map((at) => at.function) : [one];
  const seen = new Set(front.map(({ svma }) => svma));
  for (let step = 0; step <= CALLS_TO_VTABLE; step++) {
    if (front.some((each) => program.dataIn(each).some((address) => tables.has(address)))) return true;
    front = front
      .flatMap((each) => program.callees(each))
      .filter(
        ({ svma }) => !seen.has(svma) && !elsewhere.has(svma) && seen.size < MAX_REACHED && seen.add(svma),
      );
  }
  return false;
}

/** By counter the functions that draw from it. */
function counterUsers(program: Program): CounterUsers {
  const functions = new Map(program.additions.map(({ function: one }) => [one.svma, one]));
  const users = new Map<number, CodeFunction[]>();
  for (const one of functions.values())
    for (const counter of program.countersIn(one)) users.set(counter, [...(users.get(counter) ?? []), one]);
  return users;
}

/** Code of the multi-threaded scheduler, as its panic locations tell. */
export function multiThread(program: Program): Recognition {
  const functions = program.functionsOf('tokio', /^src\/runtime\/(?:scheduler\/multi_thread|thread_pool)\//);
  if (functions.length === 0) return { reason: 'no panic location of it' };
  const named = functions.map(
    (one): RecoveredFunction => ({
      ...one,
      name: 'tokio::runtime::scheduler::multi_thread',
      evidence: 'panic locations of scheduler/multi_thread',
    }),
  );
  return { found: named.slice(0, 1) };
}
