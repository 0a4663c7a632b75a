import { FileSource } from '../../src/analysis/file-source.ts';
import { createPause } from '../../src/analysis/pause.ts';
import type { Range } from '../../src/dwarf/dwarf.ts';
import { openDwarf } from '../../src/dwarf/dwarf.ts';
import { type FunctionCode, findFunctions } from '../../src/dwarf/functions.ts';
import { parseElf } from '../../src/elf/elf.ts';
import { HOOKS, QUERIES } from '../../src/libraries/index.ts';
import { demangle } from '../../src/rust/demangle.ts';

/** A function whose code a hook's sites must lie in. */
interface TrueFunction {
  readonly id: string;
  readonly contains: readonly string[];
  readonly pattern: RegExp;
}

/** Where the sites of a hook may lie, by ids of functions. */
export interface TrueHook {
  readonly functions: readonly string[];
  /** One of the functions is enough: whatever passes one passes the others. */
  readonly alternatives?: true;
  /**
   * Functions that do no more than hand on what they are given. Of one with a copy inside, every place is as good as one
   * of the copy's own.
   */
  readonly through?: readonly string[];
}

/** Functions that the product asks no symbol table for, because they are always inlined or found in another way. */
const MORE_FUNCTIONS: readonly TrueFunction[] = [
  {
    id: 'tokio.id_next',
    contains: ['tokio', 'runtime', 'task', 'next'],
    pattern: /^<?tokio::runtime::task::(?:id::)?Id>?::next$/,
  },
  {
    // Where tonic's Channel hands its requests on: fn call(out rdi, &mut self rsi, Request rdx), as the Channel's.
    id: 'tower.buffer_call',
    contains: ['tower', 'buffer', 'service', 'Buffer', 'call'],
    pattern: /^<tower::buffer::service::Buffer<.*> as tower_service::Service<.*>>::call$/,
  },
  {
    id: 'hyper.write_head',
    contains: ['hyper', 'proto', 'h1', 'conn', 'write_head'],
    pattern: /^<?hyper::proto::h1::conn::Conn<.*>>?::write_head$/,
  },
  {
    // fn parse_headers(out rdi, buf rsi, …, ctx), fn encode_headers(out rdi, &Encode rsi, &mut Vec rdx) of each side.
    id: 'hyper.parse_headers',
    contains: ['hyper', 'role', 'parse_headers'],
    pattern: /^hyper::proto::h1::role::parse_headers(?:::<.*>)?$/,
  },
  {
    id: 'hyper.encode_headers',
    contains: ['hyper', 'role', 'encode_headers'],
    pattern: /^hyper::proto::h1::role::encode_headers(?:::<.*>)?$/,
  },
  {
    id: 'h2.StreamRef.take_request',
    contains: ['h2', 'streams', 'StreamRef', 'take_request'],
    pattern: /^<?h2::proto::streams::streams::StreamRef<.*>>?::take_request$/,
  },
  {
    // fn recv_reset(out rdi, id esi, reason edx, &mut Stream rcx, counts r8): what DynStreams' calls for a stream it knows.
    id: 'h2.Recv.recv_reset',
    contains: ['h2', 'recv', 'Recv', 'recv_reset'],
    pattern: /^<?h2::proto::streams::recv::Recv>?::recv_reset$/,
  },
  {
    // fn convert_send_message(out rdi, id esi, Request rdx, …): what every copy of Streams::send_request calls.
    id: 'h2.convert_send_message',
    contains: ['h2', 'client', 'Peer', 'convert_send_message'],
    pattern: /^<?h2::client::Peer>?::convert_send_message$/,
  },
  {
    id: 'reqwest.pending',
    contains: ['reqwest', 'async_impl', 'client', 'PendingRequest', 'poll'],
    pattern: /^<reqwest::async_impl::client::PendingRequest as core::future::future::Future>::poll$/,
  },
];

/** Hooks whose functions the plan chooses itself. `Conn::write_head` calls the encoder with the head it is given. */
const CHOSEN: Readonly<Record<string, TrueHook>> = {
  'tokio.task_new': { functions: ['tokio.id_next'] },
  'reqwest.timeout': { functions: ['reqwest.pending'] },
  'hyper.client.call': {
    functions: ['hyper.client.domain', 'hyper.client.request', 'hyper.client.call'],
    alternatives: true,
  },
  'hyper.client.encode': {
    functions: ['hyper.client.encode'],
    through: ['hyper.write_head', 'hyper.encode_headers'],
  },
  'hyper.server.encode': {
    functions: ['hyper.server.encode'],
    through: ['hyper.write_head', 'hyper.encode_headers'],
  },
  'hyper.server.parse': { functions: ['hyper.server.parse'], through: ['hyper.parse_headers'] },
  'hyper.client.parse': { functions: ['hyper.client.parse'], through: ['hyper.parse_headers'] },
  'hyper.client.drop': {
    functions: ['hyper.client.future', 'hyper.client.retry_future'],
    alternatives: true,
  },
  'tonic.call': { functions: ['tonic.call', 'tower.buffer_call'], alternatives: true },
  'h2.recv_reset': {
    functions: ['h2.DynStreams.recv_reset', 'h2.Recv.recv_reset'],
    alternatives: true,
  },
  'h2.send_request': {
    functions: ['h2.Streams.send_request', 'h2.convert_send_message'],
    alternatives: true,
  },
  'h2.take_request': { functions: ['h2.Recv.take_request'], through: ['h2.StreamRef.take_request'] },
  'h2.send_trailers': {
    functions: ['h2.Send.send_trailers', 'h2.StreamRef.send_trailers'],
    alternatives: true,
  },
};

export function trueHook(name: string): TrueHook | undefined {
  const queries = HOOKS.filter((hook) => hook.name === name).map(({ query }) => query);
  return CHOSEN[name] ?? (queries.length > 0 ? { functions: queries } : undefined);
}

/** Hooks that this program has code for. Of reqwest's own functions only blocking callers need anything. */
export function wantedHooks(truth: Truth): readonly string[] {
  const all = new Set([...HOOKS.map(({ name }) => name), ...Object.keys(CHOSEN)]);
  const hasCode = (id: string) => (truth.get(id) ?? []).length > 0;
  return [...all].filter((name) => {
    if (name.startsWith('reqwest.') && name !== 'reqwest.timeout') return hasCode('reqwest.blocking_call');
    return trueHook(name)?.functions.some(hasCode) ?? false;
  });
}

/** Code of one function as DWARF has it. */
export interface TrueCode {
  readonly name: string;
  readonly ranges: readonly Range[];
  /** The function it is inlined into. */
  readonly inlinedInto: string | undefined;
}

/** By id of the function. */
export type Truth = ReadonlyMap<string, readonly TrueCode[]>;

interface Wanted {
  readonly name: string;
  readonly ids: readonly string[];
}

/** What DWARF says of the functions of all hooks. */
export async function readTruth(path: string): Promise<Truth> {
  using source = new FileSource(path);
  const dwarf = openDwarf(parseElf(source, path));
  if (!dwarf) throw new Error(`Cannot judge sites: ${path} has no DWARF`);
  const functions = wantedFunctions();
  const accept = (mangled: string): Wanted | undefined => {
    const name = demangle(mangled);
    const ids = functions.filter(({ pattern }) => pattern.test(name)).map(({ id }) => id);
    return ids.length > 0 ? { name, ids } : undefined;
  };
  const groups = functions.map(({ contains }) => contains);
  const found = await findFunctions(dwarf, { groups, accept }, createPause());
  return byId(found);
}

function wantedFunctions(): readonly TrueFunction[] {
  const named = new Set([
    ...HOOKS.map(({ query }) => query),
    ...Object.values(CHOSEN).flatMap(({ functions, through = [] }) => [...functions, ...through]),
  ]);
  return [...QUERIES.filter(({ kind, id }) => kind === 'function' && named.has(id)), ...MORE_FUNCTIONS];
}

function byId(found: readonly FunctionCode<Wanted>[]): Truth {
  const truth = new Map<string, TrueCode[]>();
  for (const { wanted, ranges, inlinedInto } of found) {
    const host = inlinedInto && demangle(inlinedInto.name ?? '?');
    for (const id of wanted.ids) {
      const known = truth.get(id) ?? [];
      truth.set(id, [...known, { name: wanted.name, ranges, inlinedInto: host }]);
    }
  }
  return truth;
}
