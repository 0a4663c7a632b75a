import { looksAt } from '../../recover/arguments.ts';
import type { CodeFunction, Place, Program } from '../../recover/program.ts';
import type { Recogniser, Recognition, RecoveredFunction, RecoveredSite } from '../../recover/recogniser.ts';
import { namesIn } from '../../recover/spans.ts';

/**
 * Methods of h2 in programs where link-time optimisation has put them into others, or hands them parts of what their
 * source says.
 */

const STREAMS = /^src\/proto\/streams\/(?:recv|streams)\.rs$/;
const COUNTS = /^src\/proto\/streams\/counts\.rs$/;
const [RSI, RDI, R8] = [6, 7, 8];

/** Cookies of h2: the register with the stream's number, the one from which the store is so far away, and that it is so. */
export const IN_REGISTERS = 0x100;
const split = (number: number, base: number): number => number | (base << 4) | IN_REGISTERS;

const distinct = (functions: readonly CodeFunction[]): readonly CodeFunction[] => [
  ...new Map(functions.map((one) => [one.svma, one])).values(),
];

function withLine(program: Program, file: RegExp, wanted: string): readonly CodeFunction[] {
  return program
    .functionsOf('h2', file)
    .filter((one) => namesIn(program, one).some(({ name }) => name === wanted));
}

/** What all these functions call, of a kind; undefined when that is not one function. */
function calledByAll(
  program: Program,
  hosts: readonly CodeFunction[],
  isLike: (one: CodeFunction) => boolean,
): CodeFunction | undefined {
  const called = hosts.map((host) => distinct(program.callees(host)).filter(isLike));
  const [first, ...others] = distinct(called.flat());
  return first && others.length === 0 && called.every(({ length }) => length === 1) ? first : undefined;
}

/** Code that makes a panic of a poisoned lock. */
const PANIC_SIZE = 128;

/** Whether one of the places that jumps lead to makes a panic of a line of the method. */
function leadsToLine(program: Program, one: CodeFunction, method: string, exits: readonly number[]): boolean {
  const lines = namesIn(program, one).filter(({ name }) => name === method);
  return exits.some((exit) =>
    lines.some(({ use }) => use.place - one.svma >= exit && use.place - one.svma < exit + PANIC_SIZE),
  );
}

// ---- resets by the peer ----

/** `stream: &mut Stream`, which is larger than anything else here. */
const STREAM_SIZE = 256;

/**
 * `Recv::recv_reset(out rdi, id esi, reason edx, stream: &mut Stream rcx, counts r8)`: self, which it does not use, is left out.
 * It is what all code calls that finds a stream for a RST_STREAM frame. The store is at the same distance from the counts as
 * where a connection that ends hands both on.
 */
export const recvReset: Recogniser = (program): Recognition => {
  const hosts = withLine(program, STREAMS, 'Inner::recv_reset');
  const one = calledByAll(program, hosts, (each) => takesReset(program, each));
  if (!one) return { reason: 'no function is handed a stream that the peer has reset' };
  const distance = countsToStore(program);
  if (distance === undefined)
    return { reason: 'how far the store is from the counts of streams was not found' };
  const evidence = `called wherever Inner::recv_reset is inlined, a number in rsi, a reason in rdx, a stream in rcx, counts in r8, ${distance} bytes before the store`;
  const host: RecoveredFunction = { ...one, name: 'h2::proto::streams::recv::Recv::recv_reset', evidence };
  return {
    found: [],
    sites: [
      {
        function: host,
        offset: 0,
        arguments: ['rsi', 'rdx', 'r8'],
        register: split(RSI, R8),
        displacement: distance,
      },
    ],
  };
};

function takesReset(program: Program, one: CodeFunction): boolean {
  const { read, behind } = program.argumentFlow(one);
  const registers = ['rdi', 'rsi', 'rdx', 'rcx', 'r8'] as const;
  const stream = [...(behind.get('rcx') ?? [])];
  return (
    registers.every((name) => read.has(name)) &&
    !read.has('r9') &&
    !behind.has('rsi') &&
    !behind.has('rdx') &&
    behind.has('r8') &&
    stream.some((place) => place >= STREAM_SIZE)
  );
}

const PTR = { all: [0, 8, 12], needed: [0, 8, 12] };

/** `Counts::transition_after(&mut self rdi, stream: &mut Ptr rsi, …)`, where the store is known as what the Ptr begins with. */
function countsToStore(program: Program): number | undefined {
  const after = withLine(program, COUNTS, 'Counts::dec_num_streams').filter((one) =>
    looksAt(program, one, 'rsi', PTR, 0),
  );
  const targets = new Set(after.map(({ svma }) => svma));
  const hosts = ['Inner::recv_eof', 'Inner::handle_error'].flatMap((name) =>
    withLine(program, STREAMS, name),
  );
  const distances = distinct(hosts).flatMap((host) => {
    const found: (number | undefined)[] = [];
    program.flow(host, ({ target, placeIn, placeAt }) => {
      if (target === undefined || !targets.has(target)) return;
      const ptr = placeIn(RSI);
      const store = ptr?.base === 'frame' ? placeAt(ptr.displacement) : undefined;
      found.push(distanceOf(placeIn(RDI), store));
    });
    return found;
  });
  const known = new Set(distances.filter((distance) => distance !== undefined));
  return known.size === 1 ? [...known][0] : undefined;
}

const distanceOf = (from: Place | undefined, to: Place | undefined): number | undefined =>
  from && to && from.base === to.base && from.base !== 'frame'
    ? to.displacement - from.displacement
    : undefined;

// ---- requests that are sent ----

/** Members of `http::Request`: method, authority and path, entries of its headers. */
const REQUEST = [184, 120, 152, 32, 40];
const REQUEST_SIZE = 240;

/** `client::Peer::convert_send_message(out rdi, id esi, Request<()> rdx, …)`, which all that sends a request calls. */
export const convertSendMessage: Recogniser = (program): Recognition => {
  const hosts = withLine(program, STREAMS, 'Streams::send_request');
  const one = calledByAll(program, hosts, (each) => takesRequest(program, each));
  if (!one) return { reason: 'no function is handed the request wherever Streams::send_request is inlined' };
  const evidence = 'called wherever Streams::send_request is inlined, looks at all of a request in rdx';
  return { found: [{ ...one, name: 'h2::client::Peer::convert_send_message', evidence }] };
};

function takesRequest(program: Program, one: CodeFunction): boolean {
  const { read, behind } = program.argumentFlow(one);
  const request = behind.get('rdx');
  if (!read.has('rdi') || !read.has('rsi') || behind.has('rsi') || !request) return false;
  return REQUEST.every((place) => request.has(place)) && [...request].every((place) => place < REQUEST_SIZE);
}

// ---- requests that are accepted ----

/**
 * `StreamRef::take_request(out rdi, &self)`, which looks the stream up behind the connection's lock: its number is in a register
 * that the entry's was compared with. The key itself may be in a vector register.
 */
export const takeRequest: Recogniser = (program): Recognition => {
  const hosts = withLine(program, STREAMS, 'StreamRef::take_request');
  const sites = hosts.flatMap((one): RecoveredSite[] => {
    const [lookup, ...others] = program
      .slabLookups(one)
      .filter(({ exits }) => leadsToLine(program, one, 'StreamRef::take_request', exits));
    if (!lookup || others.length > 0) return [];
    const evidence =
      'an entry of a slab behind a lock has the number that is in a register, behind a jump to the panic of StreamRef::take_request';
    return [
      {
        function: { ...one, name: 'h2::proto::streams::streams::StreamRef<B>::take_request', evidence },
        offset: lookup.offset,
        register: split(lookup.number, lookup.base),
        displacement: lookup.lock,
      },
    ];
  });
  if (hosts.length === 0 || sites.length !== hosts.length)
    return { reason: 'Recv::take_request is inlined into another function' };
  return { found: [], sites };
};

// ---- connections ----

/**
 * `Inner::recv_go_away` lowers the highest number of a stream that the peer will answer to what the frame says. Where these are
 * compared that number is in a register, and the lock of the connection, behind which the limit lies, in another.
 */
export const recvGoAway: Recogniser = (program): Recognition => {
  const hosts = withLine(program, STREAMS, 'Inner::recv_go_away');
  const sites = hosts.flatMap((one): RecoveredSite[] => {
    const [limit, ...others] = program
      .limitStores(one)
      .filter(({ exits }) => leadsToLine(program, one, 'Inner::recv_go_away', exits));
    if (!limit || others.length > 0) return [];
    const evidence =
      'a limit behind a lock is compared with a number that it becomes, behind a jump to the panic of Inner::recv_go_away';
    return [
      {
        function: {
          ...one,
          name: 'h2::proto::streams::streams::DynStreams<B>::recv_go_away, inlined',
          evidence,
        },
        offset: limit.offset,
        register: split(limit.number, limit.base),
        displacement: limit.lock,
      },
    ];
  });
  if (hosts.length === 0 || sites.length !== hosts.length)
    return { reason: 'DynStreams::recv_go_away is inlined into another function' };
  return { found: [], sites };
};

/** Of `Mutex`: behind its word. */
const POISON = 4;

/** Whether a function takes the register for the lock of a connection, in place of a reference to DynStreams. */
export function takesLock(program: Program, one: CodeFunction, register: 'rdi' | 'rsi'): boolean {
  const behind = [...(program.argumentFlow(one).behind.get(register) ?? [])];
  return [0, POISON].every((place) => behind.includes(place)) && behind.some((place) => place >= STREAM_SIZE);
}
