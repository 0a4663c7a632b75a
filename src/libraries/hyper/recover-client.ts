import type { CodeFunction, LocationUse, Place, Program } from '../../recover/program.ts';
import type { Recogniser, RecoveredFunction, RecoveredSite } from '../../recover/recogniser.ts';
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
 * Inlined into code that has the request in its frame, the place is where the Uri is copied first.
 */
export const extractDomain: Recogniser = (program) => {
  const hosts = domainHosts(program);
  const found = distinct(hosts.flatMap((host) => domainFunction(program, host)));
  if (found.length > 0) return { found };
  const sites = hosts.map((host) => uriCopies(program, host));
  // Calls of a client that is not seen would be taken for requests that nobody makes.
  if (hosts.length > 0 && sites.every(({ length }) => length === 1))
    return { found: [], sites: sites.flat() };
  return {
    reason: 'no function that sets the scheme of a Uri for a port was found, nor where it is inlined',
  };
};

/** `Client::request(&self rdi, request rsi)`, with `extract_domain` inlined: the Uri is where a request has it. */
export const clientRequest: Recogniser = (program) => {
  const hosts = domainHosts(program);
  const found = hosts.flatMap(({ one, uri, module, calls }) => {
    if (uri?.base !== 'rsi' || uri.displacement !== REQUEST_URI) return [];
    const evidence = `calls set_scheme (panic locations of client.rs) at ${calls} places for the Uri of the request in rsi, compares with port 443`;
    return [{ name: `${module}::Client<C,B>::request`, svma: one.svma, size: one.size, evidence }];
  });
  if (hosts.length > 0 && found.length === hosts.length) return { found: distinct(found) };
  return { reason: 'no function is given a request whose scheme it sets' };
};

const distinct = <T extends { readonly svma: number }>(found: readonly T[]): readonly T[] =>
  found.filter((one, i) => found.findIndex(({ svma }) => svma === one.svma) === i);

interface DomainHost {
  readonly one: CodeFunction;
  readonly module: string;
  readonly calls: number;
  /** What all calls of set_scheme are given; undefined when that is not known, or not the same. */
  readonly uri: Place | undefined;
  readonly setter: CodeFunction;
}

const RDI = 7;
const RSP = 4;
/** Of every `http::request::Request`: the Uri in it, in all versions and with all compilers measured. */
const REQUEST_URI = 96;
/** In a Uri: the texts of authority, and of path and query. */
const AUTHORITY = 24;
const PATH = 56;

/** Functions that call set_scheme at two places or more and know the port of HTTPS. */
function domainHosts(program: Program): readonly DomainHost[] {
  return GENERATIONS.flatMap(({ crate, file, module }) =>
    schemeSetters(program, crate, file).flatMap((setter) => {
      const callers = program.callers(setter).map((at) => at.function);
      return distinct(callers).flatMap((one): DomainHost[] => {
        const calls = callers.filter(({ svma }) => svma === one.svma).length;
        const ports = program.factsOf(one)?.compared.has(HTTPS_PORT) ?? false;
        return calls >= 2 && ports ? [{ one, module, calls, setter, uri: uriOf(program, one, setter) }] : [];
      });
    }),
  );
}

function uriOf(program: Program, one: CodeFunction, setter: CodeFunction): Place | undefined {
  const given: (Place | undefined)[] = [];
  program.flow(one, ({ target, placeIn }) => {
    if (target === setter.svma) given.push(placeIn(RDI));
  });
  const [first] = given;
  const same = given.every(
    (place) => place?.base === first?.base && place?.displacement === first?.displacement,
  );
  return same ? first : undefined;
}

function domainFunction(program: Program, { one, module, calls }: DomainHost): readonly RecoveredFunction[] {
  // Code built for size copies registers by push and pop, which only the flow follows.
  const sure = program.argumentFlow(one).behind.get('rsi') ?? [];
  const uses = [...(program.argumentUse(one).get('rsi') ?? []), ...sure];
  const looksAtUri = uses.length > 0 && uses.every((offset) => offset >= 0 && offset < URI_SIZE);
  if (!looksAtUri || program.locationsIn(one).some((use) => !isInsideDomain(use))) return [];
  const evidence = `calls set_scheme (panic locations of client.rs) at ${calls} places, compares with port 443, rsi points to a Uri`;
  return [{ name: `${module}::extract_domain`, svma: one.svma, size: one.size, evidence }];
}

/** The Uri's methods may be inlined into it; itself it has no location. */
const isInsideDomain = ({ location: { source } }: LocationUse): boolean =>
  source !== undefined && /^(?:http|bytes|core|alloc|std)$/.test(source.crate);

/**
 * extract_domain begins with a copy of the Uri: straight code that reads the texts of authority and path. The site is the
 * first instruction behind it that the kernel emulates; the request is still in the frame then.
 */
function uriCopies(program: Program, { one, module, uri, setter }: DomainHost): readonly RecoveredSite[] {
  const sites: RecoveredSite[] = [];
  if (uri?.base !== 'frame') return sites;
  let [authority, path, done] = [false, false, false];
  program.flow(one, ({ instruction, placeIn, memory, target, joined, probeable, emulated }) => {
    if (joined) [authority, path] = [false, false];
    const inUri = memory?.base === 'frame' ? memory.displacement - (uri?.displacement ?? 0) : undefined;
    const stack = placeIn(RSP);
    const ready = authority && path && probeable && emulated && stack?.base === 'frame' && !done;
    if (ready && uri) {
      const evidence = `the Uri in its frame is copied here; it calls set_scheme for it (panic locations of client.rs) and compares with port 443`;
      const host = { name: `${module}::extract_domain, inlined`, svma: one.svma, size: one.size, evidence };
      const displacement = uri.displacement - stack.displacement - REQUEST_URI;
      sites.push({ function: host, offset: instruction.offset, register: RSP, displacement });
      [authority, path] = [false, false];
    }
    if (inUri === AUTHORITY) authority = true;
    if (inUri === PATH) path = true;
    if (target === setter.svma) done = true;
  });
  return sites;
}

/** `set_scheme`: all its panic locations are its own. */
function schemeSetters(program: Program, crate: string, file: RegExp): readonly CodeFunction[] {
  return program.functionsOf(crate, file).filter((one) => {
    const names = namesIn(program, one).filter(({ use }) => use.location.source?.crate === crate);
    return names.length > 0 && names.every(({ name }) => name === 'set_scheme');
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

/** Crates that hold such a future in one of theirs: seen in a poll, it is not the method's own but one around it. */
const AROUND = /^(?:axum.*|tower|tower-http|tonic.*|warp|actix.*|reqwest|rocket|poem|salvo.*)$/;
/** What a future of the client holds of reqwest: its connector. */
const CONNECTOR = /^src\/(?:connect|dns)\b/;
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
    if (found.length > 0) return { found: distinct(found) };
    return { reason: `no vtable of the future of ${method} was found` };
  };

function isPollOf(program: Program, one: CodeFunction, crate: string, method: string): boolean {
  const named = namesIn(program, one);
  const own = ({ use: { location } }: (typeof named)[number]) => {
    const { source } = location;
    return source !== undefined && (!AROUND.test(source.crate) || CONNECTOR.test(source.file));
  };
  return (
    named.every(own) && named.some(({ use, name }) => name === method && use.location.source?.crate === crate)
  );
}

function futureVtable(program: Program, address: number): CodeFunction | undefined {
  const word = (index: number) => program.image.u64(address + index * WORD) ?? 0;
  const [drop, size, align] = [program.startsAt(word(0)), word(1), word(2)];
  const plausible = align === WORD && size > 0 && size < 1 << 20 && size % WORD === 0;
  return plausible ? drop : undefined;
}
