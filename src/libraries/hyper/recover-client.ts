import type { CodeFunction, Program } from '../../recover/program.ts';
import type { Recogniser, RecoveredFunction } from '../../recover/recogniser.ts';
import { namesIn } from '../../recover/spans.ts';

/** Both generations of the pooled client: hyper-util's, and hyper 0.14's own. */
const GENERATIONS = [
  {
    crate: 'hyper-util',
    file: /^src\/client\/legacy\/client\.rs$/,
    module: 'hyper_util::client::legacy::client',
  },
  { crate: 'hyper', file: /^src\/client\/client\.rs$/, module: 'hyper::client::client' },
] as const;

/** http's Uri, in all versions that hyper 0.14 and 1 use. */
const URI_SIZE = 88;
const HTTPS_PORT = 443;

/**
 * `extract_domain(out rdi, uri: &mut Uri rsi, is_connect: bool)` is what calls `set_scheme` at two places, one for the
 * port 443. Inlined into `Client::request`, rsi would be a request, of which it would look at more than a Uri's size.
 */
export const extractDomain: Recogniser = (program) => {
  const found = GENERATIONS.flatMap(({ crate, file, module }) =>
    schemeSetters(program, crate, file).flatMap((one) =>
      domainAround(program, one, `${module}::extract_domain`),
    ),
  );
  const distinct = found.filter((one, i) => found.findIndex(({ svma }) => svma === one.svma) === i);
  return distinct.length > 0
    ? { found: distinct }
    : { reason: 'no function that sets the scheme of a Uri for a port was found' };
};

/** `set_scheme`: all its panic locations are its own. */
function schemeSetters(program: Program, crate: string, file: RegExp): readonly CodeFunction[] {
  return program.functionsOf(crate, file).filter((one) => {
    const names = namesIn(program, one).filter(({ use }) => use.location.source?.crate === crate);
    return names.length > 0 && names.every(({ name }) => name === 'set_scheme');
  });
}

function domainAround(program: Program, setter: CodeFunction, name: string): readonly RecoveredFunction[] {
  const callers = program.callers(setter).map((at) => at.function);
  return callers.flatMap((one, i) => {
    const calls = callers.filter(({ svma }) => svma === one.svma).length;
    const first = callers.findIndex(({ svma }) => svma === one.svma) === i;
    const uses = [...(program.argumentUse(one).get('rsi') ?? [])];
    const looksAtUri = uses.length > 0 && uses.every((offset) => offset >= 0 && offset < URI_SIZE);
    const ports = program.factsOf(one)?.compared.has(HTTPS_PORT) ?? false;
    if (!first || calls < 2 || !looksAtUri || !ports || program.locationsIn(one).length > 0) return [];
    const evidence = `calls set_scheme (panic locations of client.rs) at ${calls} places, compares with port 443, rsi points to a Uri`;
    return [{ name, svma: one.svma, size: one.size, evidence }];
  });
}

export interface FutureMethod {
  readonly crate: string;
  readonly file: RegExp;
  readonly method: string;
  readonly name: string;
}

const futureName = (module: string, method: string) =>
  `core::ptr::drop_in_place<${module}::Client<C,B>::${method}::{{closure}}>`;

/** The future of a call: hyper-util's `send_request`, and in hyper 0.14 what has it inside. */
export const SEND_REQUEST: FutureMethod = {
  crate: 'hyper-util',
  file: GENERATIONS[0].file,
  method: 'Client::send_request',
  name: futureName(GENERATIONS[0].module, 'send_request'),
};
export const RETRYABLY_SEND_REQUEST: FutureMethod = {
  crate: 'hyper',
  file: GENERATIONS[1].file,
  method: 'Client::retryably_send_request',
  name: futureName(GENERATIONS[1].module, 'retryably_send_request'),
};

/** What the future may hold; a future of another crate around it would show. */
const INSIDE =
  /^(?:hyper|hyper-util|http|http-body|h2|bytes|want|pin-project.*|futures-(?:core|util|channel)|tokio|tower-service|tracing.*|core|alloc|std)$/;
const WORD = 8;

/**
 * The drop glue of an async method's future: the destructor in a vtable of `dyn Future` (destructor, size, alignment,
 * poll) whose `poll` has panic locations of the method ("resumed after completion" is one of every async function).
 */
export const futureDrop =
  ({ crate, file, method, name }: FutureMethod): Recogniser =>
  (program) => {
    const polls = program.functionsOf(crate, file).filter((one) => isPollOf(program, one, crate, method));
    const found = polls.flatMap((poll) =>
      program.pointersTo(poll.svma).flatMap((slot) => {
        const drop = futureVtable(program, slot - 3 * WORD);
        const evidence = `destructor in a vtable of a future whose poll has panic locations of ${method}`;
        return drop ? [{ name, svma: drop.svma, size: drop.size, evidence }] : [];
      }),
    );
    const distinct = found.filter((one, i) => found.findIndex(({ svma }) => svma === one.svma) === i);
    return distinct.length > 0
      ? { found: distinct }
      : { reason: `no vtable of the future of ${method} was found` };
  };

function isPollOf(program: Program, one: CodeFunction, crate: string, method: string): boolean {
  const named = namesIn(program, one);
  const inside = named.every(({ use }) => INSIDE.test(use.location.source?.crate ?? ''));
  return inside && named.some(({ use, name }) => name === method && use.location.source?.crate === crate);
}

function futureVtable(program: Program, address: number): CodeFunction | undefined {
  const word = (index: number) => program.image.u64(address + index * WORD) ?? 0;
  const [drop, size, align] = [program.startsAt(word(0)), word(1), word(2)];
  const plausible = align === WORD && size > 0 && size < 1 << 20 && size % WORD === 0;
  return plausible ? drop : undefined;
}
