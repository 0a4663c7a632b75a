import type { CodeFunction, Place, Program } from '../../recover/program.ts';
import { writtenHead } from './recover-written.ts';
import { hostsOf, ownFunction, type Side, transaction } from './transaction.ts';

/** Functions that are given what holds a connection, in rdi, and how far behind that the connection's key is. */
export type Writers = ReadonlyMap<number, number>;

const [RSI, RDI] = [6, 7];
/** Of `Encode`: head, length of the body, `&mut req_method`, flags. */
const ENCODE_SIZE = 48;
const WORD = 8;

/**
 * What writes heads of one side. The key is what the kernel side knows a connection by where a head is written: the Conn of
 * a `write_head` with the encoder inside, else `&mut req_method`, which `write_head` hands to the encoder.
 */
export function writersOf(program: Program, side: Side): Writers {
  const wanted = transaction(side, 'encode');
  const hosts = hostsOf(program, wanted);
  const encoders = hosts.filter((host) => ownFunction(program, host, wanted) !== undefined);
  const inlined = hosts.filter((host) => !encoders.includes(host));
  if (inlined.some((host) => writtenHead(program, host, wanted) === undefined)) return new Map();
  // Of the two kinds of keys a program has one.
  if (inlined.length > 0 && encoders.length > 0) return new Map();
  const heads = new Map([
    ...inlined.map(({ one }) => [one.svma, 0] as const),
    ...encoders.flatMap(({ one }) =>
      callersOf(program, one).flatMap((each) => handsMethod(program, each, one)),
    ),
  ]);
  return new Map([...heads, ...callersGiven(program, heads)]);
}

/** `write_head(&mut self rdi, …)` makes an `Encode` in its frame, in which one word points into self. */
function handsMethod(
  program: Program,
  one: CodeFunction,
  encoder: CodeFunction,
): readonly (readonly [number, number])[] {
  const found: (number | undefined)[] = [];
  program.flow(one, ({ target, placeIn, placeAt }) => {
    if (target !== encoder.svma) return;
    const at = placeIn(RSI);
    const words = Array.from({ length: ENCODE_SIZE / WORD }, (_, index) => index * WORD);
    const inSelf = words
      .flatMap((word) => (at?.base === 'frame' ? (placeAt(at.displacement + word) ?? []) : []))
      .filter(({ base }) => base === 'rdi');
    found.push(inSelf.length === 1 ? inSelf[0]?.displacement : undefined);
  });
  const [first] = found;
  return first !== undefined && found.every((each) => each === first) ? [[one.svma, first]] : [];
}

/** Functions that hand what they are given in rdi, or what lies in it, to one of these. */
function callersGiven(program: Program, heads: Writers): readonly (readonly [number, number])[] {
  const callers = new Map(
    [...heads.keys()]
      .flatMap((svma) => program.startsAt(svma) ?? [])
      .flatMap((one) => callersOf(program, one))
      .map((one) => [one.svma, one]),
  );
  return [...callers.values()].flatMap((one) => {
    const [first, ...others] = connectionsIn(program, one, heads);
    const same = others.every(
      (place) => place?.displacement === first?.displacement && place?.base === 'rdi',
    );
    return first?.base === 'rdi' && same && !heads.has(one.svma)
      ? [[one.svma, first.displacement] as const]
      : [];
  });
}

/** Keys of the connections that a function hands to writers; undefined for one that is not known. */
export function connectionsIn(
  program: Program,
  one: CodeFunction,
  writers: Writers,
): readonly (Place | undefined)[] {
  const found: (Place | undefined)[] = [];
  program.flow(one, ({ target, placeIn }) => {
    const behind = target === undefined ? undefined : writers.get(target);
    if (behind === undefined) return;
    const given = placeIn(RDI);
    found.push(given && { ...given, displacement: given.displacement + behind });
  });
  return found;
}

const callersOf = (program: Program, one: CodeFunction): readonly CodeFunction[] => [
  ...new Map(program.callers(one).map((at) => [at.function.svma, at.function])).values(),
];
