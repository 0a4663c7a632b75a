import type { CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser, Recognition } from '../../recover/recogniser.ts';

/** What `rust_panic` prints when `__rust_start_panic`, which it calls first, returns. */
const MESSAGE = 'failed to initiate panic, error ';
/** Messages are stored with what stands before: "fatal runtime error: ", and a byte with the length. */
const BEFORE = 24;

/** Of what runs the panic hook, then calls `rust_panic`. */
const WHILE_PANICKING = 'thread panicked while processing panic. aborting.';
/** `push rbp`, `mov rbp, rsp`, `call`. */
const CALLS_ONLY = 16;
const MAX_STEPS = 4;

/** `rust_panic` is the one function with that message; it is never inlined. */
export const rustPanic: Recogniser = (program) => {
  const users = program.usersBeforeText(MESSAGE, BEFORE).map((at) => at.function);
  const starts = new Set(users.map(({ svma }) => svma));
  const [one] = users;
  if (!one) return abortingPanic(program) ?? { reason: `no code with the message "${MESSAGE}" was found` };
  if (starts.size > 1) return { reason: `${starts.size} functions have the message "${MESSAGE}"` };
  const [first] = program.callees(one);
  const only = first && program.callers(first).every((at) => at.function.svma === one.svma);
  if (!only || program.callers(one).length === 0)
    return { reason: 'the function with the message of rust_panic does not start panics' };
  const evidence = `has the message "${MESSAGE}", and alone calls what starts a panic`;
  return { found: [{ name: 'rust_panic', svma: one.svma, size: one.size, evidence }] };
};

/**
 * With `panic = "abort"` what it calls does not return, so the message is gone: it calls `__rust_start_panic`, that `__rust_abort`,
 * that `process::abort`, which the code that runs the hook calls as well, for panics in panics.
 */
function abortingPanic(program: Program): Recognition | undefined {
  const users = program.usersBeforeText(WHILE_PANICKING, BEFORE).map((at) => at.function);
  const [hook, ...others] = [...new Map(users.map((one) => [one.svma, one])).values()];
  if (!hook || others.length > 0) return undefined;
  const called = [...new Map(program.callees(hook).map((one) => [one.svma, one])).values()];
  const leads = called.filter((one) => {
    const steps = onlyCalls(program, one);
    return steps.slice(1).some((step) => called.some(({ svma }) => svma === step.svma));
  });
  const [one, ...more] = leads;
  if (!one || more.length > 0 || program.callers(one).some((at) => at.function.size < CALLS_ONLY))
    return undefined;
  const evidence = `called where "${WHILE_PANICKING}" is said, and leads to what is called there to abort, over functions that do nothing else`;
  return { found: [{ name: 'rust_panic', svma: one.svma, size: one.size, evidence }] };
}

/** The functions that a function, and in turn each of them, does nothing but call. */
function onlyCalls(program: Program, one: CodeFunction): readonly CodeFunction[] {
  const steps: CodeFunction[] = [];
  for (let next: CodeFunction | undefined = one; next && steps.length < MAX_STEPS; ) {
    const [callee, ...others]: readonly CodeFunction[] = next.size <= CALLS_ONLY ? program.callees(next) : [];
    next = others.length === 0 ? callee : undefined;
    if (next) steps.push(next);
  }
  return steps;
}
