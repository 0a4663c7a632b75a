/**
 * An error whose message is complete for the user: one line, what was tried, then what was found.
 * The command line prints it without a stack trace and exits with code 2.
 */
export class UserError extends Error {
  override readonly name: string = 'UserError';
}

/** A switch that forgot a case fails to compile here; at run time it says which value came. */
export function assertUnreachable(value: never): never {
  throw new Error(`Unreachable case: ${JSON.stringify(value)}`);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
