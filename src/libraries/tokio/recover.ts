import { describe } from '../../recover/describe.ts';
import type { CodeFunction, Program } from '../../recover/program.ts';
import type {
  ObjectRecognition,
  Recognition,
  RecoveredFunction,
  ThreadWord,
  WordRecognition,
} from '../../recover/recogniser.ts';

/** `task::raw::Vtable`: `poll`, six more functions, then where the trailer, the scheduler and the id are in a task. */
const VTABLE_FUNCTIONS = 7;
const VTABLE_SIZE = 80;
const SCHEDULER_OFFSET = 32;
const MAX_TASK = 1 << 24;
/**
 * Calls from `raw::poll` to where the id is set: Harness::poll, Core::poll, TaskIdGuard::enter, set_current_task_id; in
 * programs built for size also complete, Core::set_stage and closures.
 */
const CALLS_TO_CONTEXT = [4, 6];
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
  let found: readonly ThreadWord[] = [];
  for (const calls of CALLS_TO_CONTEXT) {
    found = commonWords(
      [...polls.values()].map((poll) => wordsIn(reached(program, poll, calls), program, replaced)),
    );
    if (found.some(({ bytes }) => bytes.length > 0)) break;
  }
  if (found.length > 0) return { found };
  return { reason: 'its tasks have no thread-local word in common that they replace' };
}

function commonWords(words: readonly Words[]): readonly ThreadWord[] {
  const [first = new Map<number, Surroundings>()] = words;
  const common = [...first.keys()].filter((offset) => words.every((each) => each.has(offset)));
  const all = (offset: number, of: keyof Surroundings) =>
    [...new Set(words.flatMap((each) => [...(each.get(offset)?.[of] ?? [])]))].sort((a, b) => a - b);
  return common
    .sort((a, b) => a - b)
    .map((offset) => ({ offset, bytes: all(offset, 'bytes'), starts: all(offset, 'starts') }));
}

function reached(program: Program, start: CodeFunction, calls: number): readonly CodeFunction[] {
  const seen = new Map([[start.svma, start]]);
  let front = [start];
  for (let step = 0; step < calls; step++) {
    const next: CodeFunction[] = [];
    for (const one of front.flatMap((each) => program.probableCallees(each))) {
      if (seen.has(one.svma) || seen.size >= MAX_REACHED) continue;
      seen.set(one.svma, one);
      next.push(one);
    }
    front = next;
  }
  return [...seen.values()];
}

/** What is known of a word from the functions that replace it. */
interface Surroundings {
  readonly bytes: ReadonlySet<number>;
  readonly starts: ReadonlySet<number>;
}

type Words = ReadonlyMap<number, Surroundings>;

function wordsIn(functions: readonly CodeFunction[], program: Program, known: Map<number, Words>): Words {
  const words = new Map<number, Surroundings>();
  for (const one of functions) {
    const own = known.get(one.svma) ?? replacedWords(program, one);
    known.set(one.svma, own);
    for (const [offset, { bytes, starts }] of own) {
      const before = words.get(offset);
      words.set(offset, {
        bytes: new Set([...(before?.bytes ?? []), ...bytes]),
        starts: new Set([...(before?.starts ?? []), ...starts]),
      });
    }
  }
  return words;
}

/** Words that the function reads and writes, each with all thread-local bytes that it looks at, itself or by what tells it addresses. */
function replacedWords(program: Program, one: CodeFunction): Words {
  const accesses = program.threadAccesses(one);
  const words = accesses.filter(({ size }) => size === WORD);
  const read = new Set(words.filter((access) => access.read).map(({ offset }) => offset));
  const written = words.filter(({ write, offset }) => write && read.has(offset));
  if (written.length === 0) return new Map();
  const told = program.probableCallees(one).flatMap((each) => program.threadAccessor(each)?.accesses ?? []);
  const looks = [...accesses, ...told].filter(({ size, read: isRead }) => size === 1 && isRead);
  const bytes = new Set(looks.map(({ offset }) => offset));
  const startsOf = (wanted: number) =>
    new Set(words.flatMap(({ offset, start }) => (offset === wanted && start !== undefined ? [start] : [])));
  return new Map(written.map(({ offset }) => [offset, { bytes, starts: startsOf(offset) }]));
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
 * Calls of code that draws from another counter are not followed: what that makes is that one's. Where ids are drawn by a
 * function of their own, code that makes a list calls both; only from the task's counter all kinds of tasks are drawn.
 */
export function nextId(program: Program): ObjectRecognition {
  const tables = usedTables(program);
  if (tables.size === 0) return { reason: 'no vtable of a Tokio task was found' };
  const users = counterUsers(program);
  const counters = [...users]
    .filter(([address]) => program.image.u64(address) === 1)
    .map(([address, functions]) => ({
      address,
      functions,
      kinds: kindsMade(program, address, users, tables),
    }))
    .filter(({ kinds }) => kinds.size > 0);
  if (counters.length === 0) return { reason: 'no code that draws an id and makes a task was found' };
  const [counter, ...others] =
    counters.length === 1 ? counters : counters.filter(({ kinds }) => kinds.size === tables.size);
  if (!counter || others.length > 0)
    return { reason: `${counters.length} counters are drawn from where tasks are made` };
  const { address, functions, kinds } = counter;
  const where = counters.length === 1 ? '' : `, alone from where all ${kinds.size} kinds are`;
  const evidence = `a counter from 1 that is drawn from where tasks are made${where}, in ${functions.length} functions`;
  const named = functions.map((one) => ({ ...one, name: describe(program, one), evidence }));
  const pointers = program.pointersTo(address);
  return { found: [{ name: NEXT_ID, svma: address, size: WORD, evidence, pointers, users: named }] };
}

type CounterUsers = ReadonlyMap<number, readonly CodeFunction[]>;

/** Vtables of tasks that code refers to. */
const usedTables = (program: Program): ReadonlySet<number> =>
  new Set(
    taskVtables(program)
      .map(({ svma }) => svma)
      .filter((table) => program.usersOf(table).length > 0),
  );

/** Which of them are written where the counter is drawn from. */
function kindsMade(
  program: Program,
  counter: number,
  users: CounterUsers,
  tables: ReadonlySet<number>,
): ReadonlySet<number> {
  const elsewhere = new Set(
    [...users].flatMap(([address, functions]) =>
      address === counter ? [] : functions.map(({ svma }) => svma),
    ),
  );
  const own = (users.get(counter) ?? []).filter(({ svma }) => !elsewhere.has(svma));
  let front = own.flatMap((one) =>
    one.size <= TINY ? program.callers(one).map((at) => at.function) : [one],
  );
  const kinds = new Set<number>();
  const seen = new Set(front.map(({ svma }) => svma));
  for (let step = 0; step <= CALLS_TO_VTABLE && kinds.size < tables.size; step++) {
    for (const each of front)
      for (const address of program.dataIn(each)) if (tables.has(address)) kinds.add(address);
    front = front
      .flatMap((each) => program.callees(each))
      .filter(
        ({ svma }) => !seen.has(svma) && !elsewhere.has(svma) && seen.size < MAX_REACHED && seen.add(svma),
      );
  }
  return kinds;
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
