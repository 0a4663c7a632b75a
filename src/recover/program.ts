import { svma } from '../base/address.ts';
import type { DataImage } from '../elf/data-image.ts';
import type { FunctionRanges } from '../elf/eh-frame.ts';
import { type PanicLocation, panicLocations } from '../rust/locations.ts';
import { type TraceEvent, traceEvents } from '../rust/trace-events.ts';
import { type ArgumentFlow, argumentFlow, argumentsRead } from '../x86/argument-flow.ts';
import { argumentUse } from '../x86/argument-use.ts';
import { countersIn } from '../x86/counters.ts';
import { behindFirstWord, comparedFirstWord } from '../x86/first-word.ts';
import { type FunctionFacts, functionFacts } from '../x86/function-facts.ts';
import type { ArgumentRegister, Code } from '../x86/instruction.ts';
import { type LimitStore, limitStores } from '../x86/limit-store.ts';
import { type MapLookup, mapLookups } from '../x86/map-lookup.ts';
import { type FlowStep, pointerFlow } from '../x86/pointer-flow.ts';
import { sharedDrops } from '../x86/shared-drop.ts';
import { type SlabLookup, slabLookups } from '../x86/slab-lookup.ts';
import {
  type ThreadAccess,
  type ThreadAccessor,
  threadAccesses,
  threadAccessor,
} from '../x86/thread-access.ts';
import type { CodeIndex, References } from './code-index.ts';
import { inverted, push } from './grouped.ts';
import { functionsByFile, panicUses } from './panic-uses.ts';

/** A function whose name is not known. */
export interface CodeFunction {
  readonly svma: number;
  readonly size: number;
}

/** A panic location that a function's code refers to, and where. */
export interface LocationUse {
  readonly place: number;
  readonly location: PanicLocation;
}

/** An event of `tracing` that a function's code refers to, and where. */
export interface EventUse {
  readonly place: number;
  readonly location: TraceEvent;
}

export interface PassedTo {
  readonly argument: ArgumentRegister;
  readonly as: ArgumentRegister;
  readonly callee: CodeFunction;
}

/** A pointer so many bytes behind an argument. */
export interface MemberPassedTo extends PassedTo {
  readonly displacement: number;
}

/** A reference from code, inside the function that holds it. */
export interface PlaceIn {
  readonly place: number;
  readonly function: CodeFunction;
}

/**
 * What can be told of a program without names, for the recognisers of libraries. Every reference is an instruction's:
 * the function around it was decoded from its start.
 */
export interface Program {
  readonly functions: readonly CodeFunction[];
  /** Of panic locations in functions. */
  readonly crates: readonly { readonly name: string; readonly version: string | undefined }[];
  locationsIn(one: CodeFunction): readonly LocationUse[];
  eventsIn(one: CodeFunction): readonly EventUse[];
  /** Functions that refer to an event in the crate's file, sorted by address. */
  tracedIn(crate: string, file: RegExp): readonly CodeFunction[];
  /** Functions that refer to a panic location of the crate's file, sorted by address. */
  functionsOf(crate: string, file: RegExp): readonly CodeFunction[];
  /** Functions that its code calls, or ends with a jump to, in the order of the code; one more than once. */
  callees(one: CodeFunction): readonly CodeFunction[];
  /** The same without decoding, each once: now and then one that only looks like a call. */
  probableCallees(one: CodeFunction): readonly CodeFunction[];
  callers(one: CodeFunction): readonly PlaceIn[];
  /** Names of other objects' functions that its code calls. */
  importsIn(one: CodeFunction): readonly string[];
  /** Code that refers to the address, also by a pointer to it in the global offset table. */
  usersOf(address: number): readonly PlaceIn[];
  /** Data that its code refers to, in the order of the code; of slots of the global offset table what they point to. */
  dataIn(one: CodeFunction): readonly number[];
  /** Data that holds the address. */
  pointersTo(address: number): readonly number[];
  /** Code that refers to a text, or to data up to `before` bytes in front of it, or to a pointer to one of these. */
  usersBeforeText(text: string, before: number): readonly PlaceIn[];
  /** `lock xadd` of 64 bits. */
  readonly additions: readonly PlaceIn[];
  functionAt(address: number): CodeFunction | undefined;
  startsAt(address: number): CodeFunction | undefined;
  /** 64-bit variables to which its code adds 1 atomically. */
  countersIn(one: CodeFunction): readonly number[];
  /** Argument registers with the displacements at which it looks behind them. */
  argumentUse(one: CodeFunction): ReadonlyMap<string, ReadonlySet<number>>;
  /** What it surely does with its arguments. */
  argumentFlow(one: CodeFunction): ArgumentFlow;
  /** Argument registers that it reads first: `argumentFlow(one).read`, for less. */
  argumentsRead(one: CodeFunction): ReadonlySet<ArgumentRegister>;
  /** Functions that get one of its arguments, and in which register. */
  argumentsPassed(one: CodeFunction): readonly PassedTo[];
  /** Functions that get a pointer to a member of what an argument points to, also those that it ends with. */
  membersPassed(one: CodeFunction): readonly MemberPassedTo[];
  /** Follows its arguments and its frame through its code, see `pointerFlow`. */
  flow(one: CodeFunction, visit: (step: FlowStep) => void): void;
  /** Look-ups of a number in a map of std with such buckets. */
  mapLookups(one: CodeFunction, bucketSize: number): readonly MapLookup[];
  /** Where it has found an entry of a slab. */
  slabLookups(one: CodeFunction): readonly SlabLookup[];
  /** Where it compares a number with a limit behind a lock that it holds, and sets the limit to it. */
  limitStores(one: CodeFunction): readonly LimitStore[];
  /** Code that calls another object's function. */
  importersOf(name: string): readonly PlaceIn[];
  /** Undefined where its code is damaged or larger than any function. */
  factsOf(one: CodeFunction): FunctionFacts | undefined;
  /** Displacements at which it looks behind the pointer in the first word behind an argument, or hands that on. */
  behindFirstWord(one: CodeFunction, argument: ArgumentRegister): ReadonlySet<number>;
  /** Constants that it compares the first word behind an argument with. */
  comparedFirstWord(one: CodeFunction, argument: ArgumentRegister): ReadonlySet<number>;
  /** Functions that it calls when it was the last one to hold something shared: what destroys that. */
  sharedDrops(one: CodeFunction): readonly CodeFunction[];
  /** Its accesses to thread-local memory, also where another function told it the address. */
  threadAccesses(one: CodeFunction): readonly ThreadAccess[];
  /** If it is a function that tells the address of a thread-local variable. */
  threadAccessor(one: CodeFunction): ThreadAccessor | undefined;
  codeOf(one: CodeFunction): Code | undefined;
  readonly image: DataImage;
}

export type { ArgumentRegister } from '../x86/instruction.ts';
export type { Place } from '../x86/pointer-flow.ts';

/** The bytes of a function; undefined when they are not in the file. */
export type ReadFunction = (one: CodeFunction) => Uint8Array | undefined;

const MAX_FUNCTION = 1 << 20;
/** Bytes of code that are decoded for one program: the functions that matter are a small part of it. */
const MAX_DECODED = 1 << 25;
/** A function that tells where a thread-local variable is may initialise it, and do nothing else. */
const MAX_ACCESSOR = 256;
const NO_FLOW: ArgumentFlow = { behind: new Map(), passed: [], members: [], read: new Set() };

export function createProgram(
  image: DataImage,
  ranges: FunctionRanges,
  index: CodeIndex,
  read: ReadFunction,
): Program {
  return new IndexedProgram(image, ranges, index, read);
}

class IndexedProgram implements Program {
  readonly functions: readonly CodeFunction[];
  readonly crates: Program['crates'];
  readonly image: DataImage;
  readonly additions: readonly PlaceIn[];
  readonly #starts: Float64Array;
  readonly #index: CodeIndex;
  readonly #read: ReadFunction;
  readonly #facts = new Map<number, FunctionFacts | undefined>();
  /** Starts of functions that may use thread-local memory. */
  readonly #threadLocal: ReadonlySet<number>;
  #decodable = MAX_DECODED;
  readonly #uses: ReadonlyMap<number, readonly LocationUse[]>;
  /** By `<crate> <file>`: starts of functions with panic locations in it. */
  readonly #byFile: ReadonlyMap<string, ReadonlySet<number>>;
  readonly #flows = new Map<number, ArgumentFlow>();
  readonly #probable = new Map<number, readonly CodeFunction[]>();
  readonly #accessors = new Map<number, ThreadAccessor | undefined>();
  #events: Map<number, EventUse[]> | undefined;
  readonly #callers: ReadonlyMap<number, readonly number[]>;
  #users: ReadonlyMap<number, readonly number[]> | undefined;

  constructor(image: DataImage, ranges: FunctionRanges, index: CodeIndex, read: ReadFunction) {
    this.image = image;
    this.#index = index;
    this.#read = read;
    this.#starts = ranges.starts;
    this.functions = Array.from(ranges.starts, (svma, i) => ({
      svma,
      size: (ranges.ends[i] ?? svma) - svma,
    }));
    this.#callers = inverted(index.calls);
    this.#uses = panicUses(panicLocations(image), { index, callers: this.#callers, program: this });
    this.#byFile = functionsByFile(this.#uses);
    this.crates = this.#cratesUsed();
    this.additions = index.additions.flatMap((place) => this.#placeIn(place));
    this.#threadLocal = new Set(index.threadLocal.flatMap((place) => this.functionAt(place)?.svma ?? []));
  }

  #cratesUsed(): Program['crates'] {
    const found = new Map<string, { name: string; version: string | undefined }>();
    for (const uses of this.#uses.values())
      for (const { location } of uses) {
        const { source } = location;
        if (source)
          found.set(`${source.crate} ${source.version}`, { name: source.crate, version: source.version });
      }
    return [...found.values()];
  }

  functionAt(address: number): CodeFunction | undefined {
    const at = upperBound(this.#starts, address) - 1;
    const one = this.functions[at];
    return one && address < one.svma + one.size ? one : undefined;
  }

  startsAt(address: number): CodeFunction | undefined {
    const one = this.functionAt(address);
    return one?.svma === address ? one : undefined;
  }

  countersIn(one: CodeFunction): readonly number[] {
    const code = this.codeOf(one);
    return code ? countersIn(code, (slot) => this.image.u64(slot)) : [];
  }

  argumentUse(one: CodeFunction): ReadonlyMap<string, ReadonlySet<number>> {
    const code = this.codeOf(one);
    return code ? argumentUse(code) : new Map();
  }

  argumentFlow(one: CodeFunction): ArgumentFlow {
    const known = this.#flows.get(one.svma);
    const code = known ? undefined : this.codeOf(one);
    const flow = known ?? (code ? argumentFlow(code, (address) => this.image.u32(address)) : NO_FLOW);
    this.#flows.set(one.svma, flow);
    return flow;
  }

  argumentsRead(one: CodeFunction): ReadonlySet<ArgumentRegister> {
    const known = this.#flows.get(one.svma);
    const code = known ? undefined : this.codeOf(one);
    return known?.read ?? (code ? argumentsRead(code) : new Set());
  }

  argumentsPassed(one: CodeFunction): readonly PassedTo[] {
    return this.argumentFlow(one).passed.flatMap(({ argument, as, target }) => {
      const callee = this.#startedBy(target);
      return callee ? [{ argument, as, callee }] : [];
    });
  }

  membersPassed(one: CodeFunction): readonly MemberPassedTo[] {
    return this.argumentFlow(one).members.flatMap(({ argument, displacement, as, target }) => {
      const callee = this.#startedBy(target);
      return callee ? [{ argument, displacement, as, callee }] : [];
    });
  }

  flow(one: CodeFunction, visit: (step: FlowStep) => void): void {
    const code = this.codeOf(one);
    if (code) pointerFlow(code, visit, (address) => this.image.u32(address));
  }

  mapLookups(one: CodeFunction, bucketSize: number): readonly MapLookup[] {
    const code = this.codeOf(one);
    return code ? mapLookups(code, bucketSize) : [];
  }

  slabLookups(one: CodeFunction): readonly SlabLookup[] {
    const code = this.codeOf(one);
    return code ? slabLookups(code) : [];
  }

  limitStores(one: CodeFunction): readonly LimitStore[] {
    const code = this.codeOf(one);
    return code ? limitStores(code) : [];
  }

  importersOf(name: string): readonly PlaceIn[] {
    const { places, targets } = this.#index.imports;
    return this.#verified([...places].filter((_, i) => this.image.imports.get(targets[i] ?? 0) === name));
  }

  behindFirstWord(one: CodeFunction, argument: ArgumentRegister): ReadonlySet<number> {
    const code = this.codeOf(one);
    return code ? behindFirstWord(code, argument) : new Set();
  }

  comparedFirstWord(one: CodeFunction, argument: ArgumentRegister): ReadonlySet<number> {
    const code = this.codeOf(one);
    return code ? comparedFirstWord(code, argument) : new Set();
  }

  sharedDrops(one: CodeFunction): readonly CodeFunction[] {
    const code = this.codeOf(one);
    const targets = code ? sharedDrops(code) : [];
    return targets.flatMap((target) => this.#startedBy(target) ?? []);
  }

  /** Of a call's target: a function, or the slot with its address. */
  #startedBy(target: number): CodeFunction | undefined {
    return this.startsAt(target) ?? this.startsAt(this.image.u64(target) ?? 0);
  }

  #placeIn(place: number): readonly PlaceIn[] {
    const one = this.functionAt(place);
    return one ? [{ place, function: one }] : [];
  }

  factsOf(one: CodeFunction): FunctionFacts | undefined {
    if (!this.#facts.has(one.svma)) this.#facts.set(one.svma, this.#decode(one));
    return this.#facts.get(one.svma);
  }

  #decode(one: CodeFunction): FunctionFacts | undefined {
    const code = this.codeOf(one);
    const facts = code && functionFacts(code);
    return facts?.brokenAt === undefined ? facts : undefined;
  }

  codeOf(one: CodeFunction): Code | undefined {
    if (one.size > MAX_FUNCTION || one.size > this.#decodable) return undefined;
    this.#decodable -= one.size;
    const bytes = this.#read(one);
    return bytes && { svma: svma(one.svma), bytes };
  }

  threadAccesses(one: CodeFunction): readonly ThreadAccess[] {
    const accessorAt = (target: number): ThreadAccessor | undefined => {
      const called = this.startsAt(target);
      return called && this.threadAccessor(called);
    };
    const told = this.probableCallees(one).some(({ svma }) => accessorAt(svma));
    if (!told && !this.#threadLocal.has(one.svma)) return [];
    const code = this.codeOf(one);
    return code ? threadAccesses(code, accessorAt) : [];
  }

  threadAccessor(one: CodeFunction): ThreadAccessor | undefined {
    if (!this.#threadLocal.has(one.svma) || one.size > MAX_ACCESSOR) return undefined;
    if (!this.#accessors.has(one.svma)) {
      const code = this.codeOf(one);
      this.#accessors.set(one.svma, code && threadAccessor(code));
    }
    return this.#accessors.get(one.svma);
  }

  /** Whether an instruction refers to something with the 32 bits behind `place`, its last. */
  #isInstruction(place: number, one: CodeFunction | undefined): boolean {
    const facts = one && this.factsOf(one);
    return facts !== undefined && (facts.relativeEnds.has(place + 5) || facts.immediateEnds.has(place + 5));
  }

  locationsIn(one: CodeFunction): readonly LocationUse[] {
    return (this.#uses.get(one.svma) ?? []).filter(({ place }) => this.#isInstruction(place, one));
  }

  eventsIn(one: CodeFunction): readonly EventUse[] {
    this.#events ??= this.#collectEvents();
    return (this.#events.get(one.svma) ?? []).filter(({ place }) => this.#isInstruction(place, one));
  }

  /** Code refers to the callsite, to its metadata, or to a slot of the global offset table with one of them. */
  #collectEvents(): Map<number, EventUse[]> {
    const events = new Map(
      traceEvents(this.image).flatMap((event) => event.addresses.map((address) => [address, event] as const)),
    );
    const uses = new Map<number, EventUse[]>();
    const { places, targets } = this.#index.data;
    for (const [i, target] of targets.entries()) {
      const location = events.get(target) ?? events.get(this.image.u64(target) ?? 0);
      const one = location && this.functionAt(places[i] ?? 0);
      if (location && one) push(uses, one.svma, { place: places[i] ?? 0, location });
    }
    return uses;
  }

  tracedIn(crate: string, file: RegExp): readonly CodeFunction[] {
    this.#events ??= this.#collectEvents();
    const isIn = ({ location: { source } }: EventUse) => source?.crate === crate && file.test(source.file);
    const starts = [...this.#events].filter(([, uses]) => uses.some(isIn)).map(([start]) => start);
    return starts
      .sort((a, b) => a - b)
      .flatMap((start) => this.functionAt(start) ?? [])
      .filter((one) => this.eventsIn(one).some(isIn));
  }

  functionsOf(crate: string, file: RegExp): readonly CodeFunction[] {
    const found = new Set<number>();
    for (const [key, starts] of this.#byFile) {
      const space = key.indexOf(' ');
      if (key.slice(0, space) === crate && file.test(key.slice(space + 1)))
        for (const one of starts) found.add(one);
    }
    const functions = [...found].sort((a, b) => a - b).flatMap((start) => this.functionAt(start) ?? []);
    const has = ({ location: { source } }: LocationUse) => source?.crate === crate && file.test(source.file);
    return functions.filter((one) => this.locationsIn(one).some(has));
  }

  callees(one: CodeFunction): readonly CodeFunction[] {
    return this.#within(this.#index.calls, one).flatMap((target) => this.functionAt(target) ?? []);
  }

  probableCallees(one: CodeFunction): readonly CodeFunction[] {
    const known = this.#probable.get(one.svma);
    if (known) return known;
    const { places, targets } = this.#index.calls;
    const [first, last] = [upperBound(places, one.svma - 1), upperBound(places, one.svma + one.size - 1)];
    const called = [...new Set(targets.subarray(first, last))];
    const found = called.flatMap((target) => this.functionAt(target) ?? []);
    this.#probable.set(one.svma, found);
    return found;
  }

  callers(one: CodeFunction): readonly PlaceIn[] {
    return this.#verified(this.#callers.get(one.svma)).filter((at) => at.function.svma !== one.svma);
  }

  importsIn(one: CodeFunction): readonly string[] {
    return this.#within(this.#index.imports, one).flatMap((slot) => this.image.imports.get(slot) ?? []);
  }

  usersOf(address: number): readonly PlaceIn[] {
    this.#users ??= inverted(this.#index.data, (slot) => this.image.u64(slot));
    return this.#verified(this.#users.get(address));
  }

  dataIn(one: CodeFunction): readonly number[] {
    return this.#within(this.#index.data, one);
  }

  pointersTo(address: number): readonly number[] {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(address));
    return this.image.find(bytes).filter((at) => at % 8 === 0);
  }

  usersBeforeText(text: string, before: number): readonly PlaceIn[] {
    const starts = this.image
      .find(Buffer.from(text, 'latin1'))
      .flatMap((at) => Array.from({ length: before + 1 }, (_, distance) => at - distance));
    const places = starts.flatMap((start) => [start, ...this.pointersTo(start)]);
    const found = new Map(places.flatMap((place) => this.usersOf(place)).map((user) => [user.place, user]));
    return [...found.values()].sort((a, b) => a.place - b.place);
  }

  /** Targets of the references inside a function. */
  #within({ places, targets }: References, one: CodeFunction): readonly number[] {
    const [first, last] = [upperBound(places, one.svma - 1), upperBound(places, one.svma + one.size - 1)];
    return [...targets.subarray(first, last)].filter((_, i) =>
      this.#isInstruction(places[first + i] ?? 0, one),
    );
  }

  #verified(places: readonly number[] = []): readonly PlaceIn[] {
    return places
      .flatMap((place) => this.#placeIn(place))
      .filter((at) => this.#isInstruction(at.place, at.function));
  }
}

/** How many of the sorted values are ≤ value. */
function upperBound(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
