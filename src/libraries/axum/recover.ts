import { looksAt } from '../../recover/arguments.ts';
import type { CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser, Recognition, RecoveredSite } from '../../recover/recogniser.ts';

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
  if (!user) return inlinedLookups(program, distinct) ?? { reason: INLINED };
  const evidence = `has the text "${user.text}", rsi points to a map, rdx to extensions, and axum's router calls it`;
  return { found: [{ name: NAME, svma: user.one.svma, size: user.one.size, evidence }] };
};

const INLINED = 'set_matched_path_for_request is inlined into another function';
const RDX = 2;
/** `(RouteId, Arc<str>)`, in all versions that were measured. */
const BUCKET_SIZE = 24;
/** Of SipHash's first word: "somepseu". */
const SIP_HASH = Buffer.from('uespemos', 'latin1');

/**
 * Code that tells whether a template ends so, and looks the route's number up in a map first. A copy that is not
 * understood would leave a part of a template out.
 */
function inlinedLookups(
  program: Program,
  users: readonly { readonly text: string; readonly one: CodeFunction }[],
): Recognition | undefined {
  const copies = users.filter(({ text, one }) => program.factsOf(one)?.compared.has(text.length));
  const sites = copies.flatMap(({ text, one }): RecoveredSite[] => {
    const lookups = program
      .mapLookups(one, BUCKET_SIZE)
      .filter(({ target }) => hashesNumber(program, target));
    const [lookup, ...others] = lookups;
    if (!lookup || others.length > 0) return [];
    const evidence = `tells whether a template ends with "${text}", and looks a number up in a map of buckets of ${BUCKET_SIZE} bytes, with std's hasher`;
    return [
      {
        function: { ...one, name: `${NAME}, inlined`, evidence },
        offset: lookup.offset,
        register: RDX | (lookup.base << 4),
        displacement: lookup.displacement,
      },
    ];
  });
  return sites.length > 0 && sites.length === copies.length ? { found: [], sites } : undefined;
}

/** `hash_one(k0 rdi, k1 rsi, number edx)` of std's RandomState. */
function hashesNumber(program: Program, target: number): boolean {
  const one = program.startsAt(target);
  const code = one && program.codeOf(one);
  if (!one || !code) return false;
  const { read, behind } = program.argumentFlow(one);
  const taken = (['rdi', 'rsi', 'rdx'] as const).every((name) => read.has(name) && !behind.has(name));
  return taken && Buffer.from(code.bytes).includes(SIP_HASH);
}

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
