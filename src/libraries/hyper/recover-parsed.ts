import type { CodeFunction, Place, Program } from '../../recover/program.ts';
import type { RecoveredSite } from '../../recover/recogniser.ts';
import { type NamedUse, namesIn } from '../../recover/spans.ts';
import { connectionsIn, writersOf } from './connection.ts';
import { type Host, isOwnLine, type Transaction } from './transaction.ts';

const RSI = 6;

/** `parse` ends with `buf.split_to(length)`: rsi points to the BytesMut there, which begins with a whole head. */
export function parsedHead(program: Program, host: Host, wanted: Transaction): RecoveredSite | undefined {
  const splits = splitsIn(program, host.one);
  return handedOn(program, host, wanted, splits) ?? parsedInside(program, host, wanted, splits);
}

interface Split {
  readonly offset: number;
  readonly buffer: Place | undefined;
}

const BYTES_MUT = /^src\/bytes_mut\.rs$/;

/** Calls of `BytesMut::split_to(out rdi, &mut self rsi, length rdx)`. */
function splitsIn(program: Program, one: CodeFunction): readonly Split[] {
  const splitters = program
    .functionsOf('bytes', BYTES_MUT)
    .filter((each) => namesIn(program, each).every(({ name }) => name === 'BytesMut::split_to'));
  const targets = new Set(splitters.map(({ svma }) => svma));
  const found: Split[] = [];
  program.flow(one, ({ instruction, target, placeIn }) => {
    if (target !== undefined && targets.has(target) && instruction.flow === 'call')
      found.push({ offset: instruction.offset, buffer: placeIn(RSI) });
  });
  return found;
}

/** Registers that an argument behind the buffer may be in. */
const CONTEXTS = { rdx: 2, rcx: 1, r8: 8, r9: 9 } as const;
type ContextRegister = keyof typeof CONTEXTS;
/** ParseContext is no larger. */
const CONTEXT_SIZE = 80;

/**
 * `role::parse_headers(out rdi, buf: &mut BytesMut rsi, …, ctx: ParseContext)`, which does nothing but call `parse`. Between
 * the two there may be numbers.
 */
function handedOn(
  program: Program,
  { one, named }: Host,
  wanted: Transaction,
  splits: readonly Split[],
): RecoveredSite | undefined {
  const isInside = (line: NamedUse) =>
    isOwnLine(line, wanted) || line.name === 'parse_headers' || line.use.location.source?.crate === 'tokio';
  const isGiven = ({ buffer }: Split) => buffer?.base === 'rsi' && buffer.displacement === 0;
  if (!named.every(isInside) || splits.length === 0 || !splits.every(isGiven)) return undefined;
  const { behind } = program.argumentFlow(one);
  const [context, ...others] = (Object.keys(CONTEXTS) as ContextRegister[]).filter((name) =>
    behind.has(name),
  );
  const looked = context === undefined ? undefined : behind.get(context);
  if (
    context === undefined ||
    others.length > 0 ||
    ![...(looked ?? [])].every((place) => place < CONTEXT_SIZE)
  )
    return undefined;
  const evidence = `panic locations of ${wanted.own}, which is inlined, and nothing from elsewhere; the buffer in rsi is split there, ${context} points to a context`;
  const host = { ...one, name: 'hyper::proto::h1::role::parse_headers', evidence };
  return {
    function: host,
    offset: 0,
    arguments: ['rsi', context],
    register: RSI | (CONTEXTS[context] << 4),
    displacement: 0,
  };
}

/**
 * Inside what polls the connection: the buffer and the connection lie in what one argument points to, so the distance
 * between them is known. The connection is where that code, or what it calls for it, writes heads.
 */
function parsedInside(
  program: Program,
  { one }: Host,
  { side, own }: Transaction,
  splits: readonly Split[],
): RecoveredSite | undefined {
  const [split, ...others] = splits;
  if (!split?.buffer || others.length > 0 || split.buffer.base === 'frame') return undefined;
  const connections = connectionsIn(program, one, writersOf(program, side));
  const [connection] = connections;
  const isSame = (place: Place | undefined) =>
    place?.base === split.buffer?.base && place?.displacement === connection?.displacement;
  if (!connection || !connections.every(isSame)) return undefined;
  const evidence = `panic locations of ${own}, which is inlined; splits its buffer here, and hands the connection around it to what writes heads`;
  const host = { ...one, name: `<hyper::proto::h1::role::${side} …>::parse, inlined`, evidence };
  const displacement = connection.displacement - split.buffer.displacement;
  return { function: host, offset: split.offset, register: RSI, displacement };
}
