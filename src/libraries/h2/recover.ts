import { looksAt } from '../../recover/arguments.ts';
import type { CodeFunction, EventUse, LocationUse, Program } from '../../recover/program.ts';
import type { Recogniser, RecoveredFunction } from '../../recover/recogniser.ts';
import { linesIn, type NamedUse } from '../../recover/spans.ts';
import type { ArgumentName } from '../library.ts';
import { takesLock } from './recover-inlined.ts';
import { recogniseSilent } from './recover-silent.ts';

type Line = NamedUse<EventUse | LocationUse>;

/** What an argument is, as far as the code shows: SHAPES, or something of which only that it is one can be told. */
export type Shape = keyof typeof SHAPES | 'value';

export interface StreamMethod {
  /** As its demangled symbol. */
  readonly name: string;
  /** Functions of the source that only it has inside. */
  readonly own: readonly string[];
  /** Other functions of h2 that it may have inside: `<file> <function>`. */
  readonly inside: RegExp;
  readonly arguments: Readonly<Partial<Record<ArgumentName, Shape>>>;
}

const STREAMS = /^src\/proto\/streams\/(?:recv|send|streams)\.rs$/;
/** What any method on one stream may have inside. */
const BELOW_STREAM =
  'src/(?:frame|hpack)/|src/proto/(?:peer|error)\\.rs|src/proto/streams/(?:store|buffer|state|stream|flow_control|prioritize)\\.rs|src/proto/streams/counts\\.rs Counts::(?:can_)?(?:inc|dec)_|src/(?:client|server)\\.rs <Peer as Peer>::';
const STREAM_INSIDE = new RegExp(`^(?:${BELOW_STREAM})`);
const CONNECTION_INSIDE = new RegExp(
  `^(?:${BELOW_STREAM}|src/proto/streams/(?:recv|send|counts)\\.rs|src/proto/streams/streams\\.rs (?:Actions::|maybe_cancel|drop_stream_ref))`,
);
/** Crates whose functions may be inlined into those of h2's streams. */
const HELPERS =
  /^(?:h2|http|bytes|slab|indexmap|hashbrown|fnv|equivalent|atomic-waker|tracing.*|log|tokio-util|futures-core|core|alloc|std)$/;

/** A method on one stream, to which a `&mut store::Ptr` points. */
export const streamMethod = (
  type: 'Recv' | 'Send',
  method: string,
  args: StreamMethod['arguments'],
): StreamMethod => ({
  name: `h2::proto::streams::${type.toLowerCase()}::${type}::${method}`,
  own: [`${type}::${method}`],
  inside: STREAM_INSIDE,
  arguments: args,
});

/** A method of what refers to a connection: its first word is a pointer to the lock, or the lock's Arc. */
export const connectionMethod = (
  type: string,
  method: string,
  args: StreamMethod['arguments'],
): StreamMethod => ({
  name: `h2::proto::streams::streams::${type}<B>::${method}`,
  own: [`${type}::${method}`, ...(type === 'DynStreams' ? [`Inner::${method}`] : [])],
  inside: CONNECTION_INSIDE,
  arguments: args,
});

/** Functions that have lines of the method and none of what is above it, with arguments of its kind. */
export const recogniseMethod =
  (method: StreamMethod): Recogniser =>
  (program) => {
    const hosts = streamFunctions(program).filter(({ lines }) => lines.some((line) => isOwn(line, method)));
    const [own = ''] = method.own;
    if (hosts.length === 0) {
      const found = recogniseSilent(program, own, method.name);
      return found.length > 0
        ? { found }
        : { reason: `no panic location and no event of ${own} was found, and nothing else that tells` };
    }
    const pure = hosts.filter(({ lines }) => lines.every((line) => isInside(line, method)));
    if (pure.length === 0) return { reason: `${own} is inlined into another function` };
    const found = pure.flatMap((host) =>
      hasArguments(program, host.one, method) ? [host] : throughHandle(program, host, method),
    );
    if (found.length === 0)
      return { reason: `${own} is inlined into another function, or its arguments are elsewhere` };
    return { found: found.map(({ one, lines }) => recovered(one, lines, method)) };
  };

interface Host {
  readonly one: CodeFunction;
  readonly lines: readonly Line[];
}

const hosts = new WeakMap<Program, readonly Host[]>();

/** All functions with lines of h2's streams. */
function streamFunctions(program: Program): readonly Host[] {
  const known = hosts.get(program) ?? findHosts(program);
  hosts.set(program, known);
  return known;
}

function findHosts(program: Program): readonly Host[] {
  const found = [...program.functionsOf('h2', STREAMS), ...program.tracedIn('h2', STREAMS)];
  const distinct = new Map(found.map((one) => [one.svma, one]));
  return [...distinct.values()].map((one) => ({ one, lines: linesIn(program, one) }));
}

const isOwn = ({ use, name }: Line, { own }: StreamMethod): boolean =>
  use.location.source?.crate === 'h2' && name !== undefined && own.includes(name);

function isInside(line: Line, method: StreamMethod): boolean {
  const { source } = line.use.location;
  if (source === undefined || !HELPERS.test(source.crate)) return false;
  if (source.crate !== 'h2' || isOwn(line, method)) return true;
  return method.inside.test(`${source.file} ${line.name ?? ''}`);
}

/**
 * `DynStreams::recv_eof`, which locks and calls `Inner::recv_eof`, where that is a function of its own: the only one that
 * calls it, without lines, with the handle as its argument. Of `Streams`, which has the same places, the first word
 * points to the lock's Arc: its lock lies behind two counters.
 */
function throughHandle(program: Program, { one, lines }: Host, method: StreamMethod): readonly Host[] {
  const [register] = Object.entries(method.arguments).find(([, shape]) => shape === 'handle') ?? [];
  const callers = new Map(program.callers(one).map((at) => [at.function.svma, at.function]));
  const [outer] = callers.values();
  if (!register || !outer || callers.size > 1 || linesIn(program, outer).length > 0) return [];
  const isLock = program.behindFirstWord(outer, register as ArgumentName).has(0);
  return isLock && hasArguments(program, outer, method) ? [{ one: outer, lines }] : [];
}

function hasArguments(program: Program, one: CodeFunction, { arguments: wanted }: StreamMethod): boolean {
  const { read } = program.argumentFlow(one);
  return Object.entries(wanted).every(([name, shape]) => {
    const register = name as ArgumentName;
    if (shape === 'value') return read.has(register);
    if (!read.has(register)) return false;
    const isLock = shape === 'handle' && (register === 'rdi' || register === 'rsi');
    return looksAt(program, one, register, SHAPES[shape]) || (isLock && takesLock(program, one, register));
  });
}

const SHAPES = {
  /** `store::Ptr`: the store, an index and the stream's number. */
  ptr: { all: [0, 8, 12], needed: [0, 8] },
  /** `DynStreams`, `Streams`, `StreamRef`: pointers to the lock and to the send buffer, and one word more. */
  handle: { all: [0, 8, 16, 20], needed: [0] },
} as const;
function recovered(one: CodeFunction, lines: readonly Line[], method: StreamMethod): RecoveredFunction {
  const own = lines.filter((line) => isOwn(line, method));
  const numbers = [...new Set(own.map(({ use }) => use.location.line))].sort((a, b) => a - b);
  const [first] = own;
  const source = first?.use.location.source;
  const exact = source?.version === first?.linesOf;
  const file = source?.file.split('/').at(-1);
  const lineText = `line${numbers.length > 1 ? 's' : ''} ${numbers.join(', ')} of ${file}`;
  const registers = Object.keys(method.arguments).join(', ');
  const evidence = `${lineText}${exact ? '' : ` (lines of h2 ${first?.linesOf})`} and nothing from elsewhere, arguments in ${registers}`;
  return { name: method.name, svma: one.svma, size: one.size, evidence };
}

/** Code of one side: lines of h2's or hyper's files that only that side has. */
export const streamSide =
  (side: 'server' | 'client'): Recogniser =>
  (program) => {
    const files = [
      ['h2', new RegExp(`^src/${side}\\.rs$`)],
      ['hyper', new RegExp(`^src/proto/h2/${side}\\.rs$`)],
    ] as const;
    for (const [crate, file] of files) {
      const functions = [...program.functionsOf(crate, file), ...program.tracedIn(crate, file)];
      const one = functions.find((each) =>
        linesIn(program, each).some((line) => isOfSide(line, crate, file)),
      );
      const name = `${crate === 'h2' ? 'h2' : 'hyper::proto::h2'}::${side}`;
      if (one) return { found: [{ ...one, name, evidence: `a line of ${crate}'s ${side}.rs` }] };
    }
    return { reason: `no panic location and no event of h2's ${side} was found` };
  };

/** Each side has what converts the messages of both. */
function isOfSide({ use, name }: Line, crate: string, file: RegExp): boolean {
  const { source } = use.location;
  const ofFile = source?.crate === crate && file.test(source.file);
  return ofFile && (crate !== 'h2' || (name !== undefined && !/\bPeer\b/.test(name)));
}
