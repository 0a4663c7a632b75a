import { looksAt } from '../../recover/arguments.ts';
import type { CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser } from '../../recover/recogniser.ts';

const NAME = 'axum::extract::matched_path::set_matched_path_for_request';
/** What a nested router's template ends with: axum 0.8, and 0.6 and 0.7. */
const NEST_TAILS = ['/{*__private__axum_nest_tail_param}', '/*__private__axum_nest_tail_param'];
/** hashbrown's table (control bytes, mask, room, items), then the keys of SipHash. */
const ROUTES = { all: [0, 8, 16, 24, 32, 40], needed: [0, 8] };
/** `http::Extensions`: one optional box. */
const EXTENSIONS = { all: [0], needed: [0] };

/**
 * `set_matched_path_for_request` has no panic location. It alone looks for the end of a nested router's template and takes
 * a map and extensions; what has it inside takes a request, and has panic locations of axum's router, or calls what has.
 */
export const matchedPath: Recogniser = (program) => {
  const users = NEST_TAILS.flatMap((text) =>
    program.usersBeforeText(text, 0).map((at) => ({ text, one: at.function })),
  );
  const distinct = [...new Map(users.map((user) => [user.one.svma, user])).values()];
  if (distinct.length === 0) return { reason: 'no code with the text of nested routes was found' };
  const found = distinct.filter(({ one }) => isMatchedPath(program, one));
  if (found.length > 1) return { reason: `${found.length} functions look like ${NAME}` };
  const [user] = found;
  if (!user) return { reason: 'set_matched_path_for_request is inlined into another function' };
  const evidence = `has the text "${user.text}", rsi points to a map, rdx to extensions, and axum's router calls it`;
  return { found: [{ name: NAME, svma: user.one.svma, size: user.one.size, evidence }] };
};

function isMatchedPath(program: Program, one: CodeFunction): boolean {
  const ofAxum = (each: CodeFunction) =>
    program.locationsIn(each).some(({ location }) => location.source?.crate === 'axum');
  const { read, behind } = program.argumentFlow(one);
  return (
    !ofAxum(one) &&
    read.has('rdi') &&
    !behind.has('rdi') &&
    looksAt(program, one, 'rsi', ROUTES) &&
    looksAt(program, one, 'rdx', EXTENSIONS) &&
    program.callers(one).some((at) => [at.function, ...program.callees(at.function)].some(ofAxum))
  );
}
