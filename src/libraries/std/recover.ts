import type { Recogniser } from '../../recover/recogniser.ts';

/** What `rust_panic` prints when `__rust_start_panic`, which it calls first, returns. */
const MESSAGE = 'failed to initiate panic, error ';
/** Messages are stored with what stands before: "fatal runtime error: ", and a byte with the length. */
const BEFORE = 24;

/** `rust_panic` is the one function with that message; it is never inlined. */
export const rustPanic: Recogniser = (program) => {
  const users = program.usersBeforeText(MESSAGE, BEFORE).map((at) => at.function);
  const starts = new Set(users.map(({ svma }) => svma));
  const [one] = users;
  if (!one) return { reason: `no code with the message "${MESSAGE}" was found` };
  if (starts.size > 1) return { reason: `${starts.size} functions have the message "${MESSAGE}"` };
  const [first] = program.callees(one);
  const only = first && program.callers(first).every((at) => at.function.svma === one.svma);
  if (!only || program.callers(one).length === 0)
    return { reason: 'the function with the message of rust_panic does not start panics' };
  const evidence = `has the message "${MESSAGE}", and alone calls what starts a panic`;
  return { found: [{ name: 'rust_panic', svma: one.svma, size: one.size, evidence }] };
};
