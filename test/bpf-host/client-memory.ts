import assert from 'node:assert/strict';
import { standardHeaderNumber } from '../../src/base/standard-headers.ts';
import { binaryLayout, COOKIE_OFFSET_SHIFT, COOKIE_REGISTER_SHIFT } from '../../src/events/layout.ts';
import { memory, thread } from './driver.ts';

export type Member = Exclude<keyof typeof binaryLayout, 'size'>;

/** Where members lie in what is laid out here: no library's, and no two offsets the same by chance. */
const LAYOUT: Partial<Record<Member, number>> = {
  parseContextReqMethod: 0x28,
  encodeHead: 0x10,
  encodeReqMethod: 0x18,
  headStatus: 0x68,
  bytesMutPointer: 0x10,
  bytesMutLength: 0,
  clientEncodeHead: 0x20,
  clientEncodeReqMethod: 0x08,
  clientHeadEntries: 0x58,
  clientHeadPath: 0x90,
  clientParseReqMethod: 0x18,
  requestMethod: 0xd9,
  requestScheme: 0x70,
  requestAuthority: 0x78,
  requestPath: 0x98,
  requestEntries: 0x20,
  requestEntriesLength: 0x28,
  requestEntriesCapacity: 0x18,
  vecPointer: 8,
  vecLength: 16,
  vecCapacity: 0,
};

/** Of sites' cookies, bytes. */
const FUTURE_STATE = 0x1c1;
const REQUEST_URL = 0x48;
const URI = 0x70;

/** `layout 0` with every member of struct binary_layout in its order. `headers`: standard ones that are wanted. */
export function layoutCommand(
  change: Partial<Record<Member, number>> = {},
  index = 0,
  headers: readonly string[] = [],
): string {
  const { size, ...offsets } = binaryLayout;
  const members = Object.entries({ ...LAYOUT, ...change });
  const words = Array<number>(size / 2).fill(0);
  for (const [name, value] of members) words[offsets[name as Member] / 2] = value;
  for (const header of headers) {
    const number = standardHeaderNumber(header) ?? assert.fail(`no standard header ${header}`);
    for (const direction of [0, 8]) {
      const word = offsets.standardHeaders / 2 + direction + (number >> 4);
      words[word] = (words[word] ?? 0) | (1 << (number & 15));
    }
  }
  return `layout ${index} ${words.join(' ')}`;
}

const at = (name: keyof typeof LAYOUT) => LAYOUT[name] ?? 0;

export function structure(
  size: number,
  members: readonly (readonly [at: number, value: bigint | number])[],
): Buffer {
  const bytes = Buffer.alloc(size, 0xa5);
  for (const [at, value] of members) bytes.writeBigUInt64LE(BigInt(value), at);
  return bytes;
}

interface Arguments {
  readonly rdi?: bigint;
  readonly rsi?: bigint;
  readonly rdx?: bigint;
  /** Of the cookie: an offset in bytes, and a register by its number in x86 encodings. */
  readonly offset?: number;
  readonly register?: number;
}

export function probe(program: string, args: Arguments = {}): string {
  const { rdi = 0n, rsi = 0n, rdx = 0n, offset = 0, register = 0 } = args;
  const cookie =
    (BigInt(register) << BigInt(COOKIE_REGISTER_SHIFT)) |
    (BigInt(offset & 0xffff) << BigInt(COOKIE_OFFSET_SHIFT));
  return `probe ${program} ${cookie} ${rdi} ${rsi} ${rdx}`;
}

/** A task with this id is made; `register`: by its number in x86 encodings, and by its name. */
export const newTask = (id: number | bigint, [number, name] = [3, 'bx'] as readonly [number, string]) =>
  `${probe('tokio_task_new', { register: number })} ${name}=${id}`;

export interface CallOptions {
  readonly method?: number;
  readonly scheme?: 'none' | 'http' | 'https' | 'other';
  readonly authority?: string;
  readonly path?: string;
  /** Headers, and how many the HeaderMap has room for. */
  readonly headers?: readonly [length: number, capacity: number];
  /** Number of the call whose path text this one shares. */
  readonly pathOf?: number;
  /** Number of the call whose entries' memory this one has. */
  readonly entriesOf?: number;
}

const SCHEME_BYTES = { none: [0, 0xa5], http: [1, 0], https: [1, 1], other: [2, 0] } as const;

const place = (id: number, page: number) =>
  0x5500_0000_0000n + BigInt(id) * 0x10_0000n + BigInt(page) * 0x1000n;
const connectionKey = (connection: number) => 0x5600_0000_0e28n + BigInt(connection) * 0x1000n;
const pathAt = (id: number, options: CallOptions) => place(options.pathOf ?? id, 2);
export const entriesAt = (id: number, options: CallOptions) => place(options.entriesOf ?? id, 3);

function request(id: number, options: CallOptions): Buffer {
  const { method = 1, scheme = 'http', authority = 'h', path = '/x', headers = [1, 8] } = options;
  const bytes = structure(0x100, [
    ...[
      [at('requestAuthority'), place(id, 1)] as const,
      [at('requestAuthority') + 8, authority.length] as const,
    ],
    ...[[at('requestPath'), pathAt(id, options)] as const, [at('requestPath') + 8, path.length] as const],
    [at('requestEntries'), entriesAt(id, options)],
    ...[
      [at('requestEntriesLength'), headers[0]] as const,
      [at('requestEntriesCapacity'), headers[1]] as const,
    ],
  ]);
  bytes.set([method], at('requestMethod'));
  bytes.set(SCHEME_BYTES[scheme], at('requestScheme'));
  return bytes;
}

const text = (value: string) => Buffer.from(value, 'latin1');

/** An http::Request in memory. `id` is for these helpers: the kernel side counts calls by itself. */
export const requestMemory = (id: number, options: CallOptions = {}): string[] => [
  memory(place(id, 0), request(id, options)),
  memory(place(id, 1), text(options.authority ?? 'h')),
  ...(options.pathOf === undefined ? [memory(place(id, 2), text(options.path ?? '/x'))] : []),
];

/** The request is given to a gRPC channel; it has neither scheme nor authority. */
export const channelCall = (id: number, options: CallOptions = {}): string[] => [
  ...requestMemory(id, { method: 2, scheme: 'none', authority: '', path: '/s/m', ...options }),
  probe('tonic_call', { rdx: place(id, 0) }),
];

/** Whatever the channel's call has given its caller is dropped. */
export const channelDrop = probe('tonic_drop');

/** The request is given to hyper's client. */
export const call = (id: number, options: CallOptions = {}): string[] => [
  ...requestMemory(id, options),
  probe('hyper_client_call', { rsi: place(id, 0) }),
];

/** As above; the probed function is given the Uri inside the request. */
export const callByUri = (id: number, options: CallOptions = {}): string[] => [
  ...requestMemory(id, options),
  probe('hyper_client_call', { rsi: place(id, 0) + BigInt(URI), offset: URI }),
];

/** As above, where all of it is inlined: a register points `before` bytes before the request, which is in the frame. */
export const callInFrame = (id: number, before: number, options: CallOptions = {}): string[] => [
  ...requestMemory(id, options),
  `${probe('hyper_client_call_at', { register: 12, offset: -before })} r12=${place(id, 0) - BigInt(before)}`,
];

/** Again, from another function of the client, which has the request elsewhere. */
export const callAgain = (id: number, options: CallOptions = {}): string[] => [
  memory(place(id, 9), request(id, options)),
  probe('hyper_client_call', { rsi: place(id, 9) }),
];

/** The task that polls the call hands the request to a connection, with all its headers. */
export const sendRequest = (id: number, options: CallOptions = {}): string[] => [
  memory(place(id, 12), request(id, options)),
  probe('hyper_client_send', { rdx: place(id, 12) }),
];

/** The head of a request. With Host, a HeaderMap that was full has its entries elsewhere. */
function headMemory(id: number, options: CallOptions): Buffer {
  const [length, capacity] = options.headers ?? [1, 8];
  const entries = length < capacity ? entriesAt(id, options) : place(id, 8);
  const path = options.path === '/' ? 0x5000n : pathAt(id, options);
  return structure(0x100, [
    ...[[at('clientHeadEntries'), entries] as const, [at('clientHeadPath'), path] as const],
  ]);
}

/** hyper's connection writes the head, with the encoder inlined. */
export const writeHead = (id: number, options: CallOptions = {}, connection = 1): string[] => [
  memory(place(id, 5), headMemory(id, options)),
  probe('hyper_client_write_head', { rdi: connectionKey(connection), rsi: place(id, 5) }),
];

/** hyper's connection encodes the head, into the Vec at `output`. */
export function encode(id: number, options: CallOptions = {}, connection = 1, output = 0n): string[] {
  const head = headMemory(id, options);
  const message = structure(0x40, [
    ...[[at('clientEncodeHead'), place(id, 5)] as const],
    [at('clientEncodeReqMethod'), connectionKey(connection)],
  ]);
  const list = [memory(place(id, 5), head), memory(place(id, 4), message)];
  return [...list, probe('hyper_client_encode', { rsi: place(id, 4), rdx: output })];
}

/** hyper's connection looks at what it has read. `context`: the register that is not rdx. */
export function parse(bytes: string, connection = 1, context?: 'r8'): string[] {
  const base = 0x5700_0000_0000n;
  const pointer = structure(0x40, [[at('clientParseReqMethod'), connectionKey(connection)]]);
  const list = [memory(base, bufferAt(base, bytes)), memory(base + 0x1000n, pointer), bytesOf(base, bytes)];
  const plain = probe('hyper_client_parse', { rsi: base, rdx: base + 0x1000n });
  const other = `${probe('hyper_client_parse', { rsi: base, register: 6 | (8 << 4) })} r8=${base + 0x1000n}`;
  return [...list, context ? other : plain];
}

const bufferAt = (base: bigint, bytes: string) =>
  structure(0x20, [
    ...[[at('bytesMutPointer'), base + 0x2000n] as const, [at('bytesMutLength'), bytes.length] as const],
  ]);
const bytesOf = (base: bigint, bytes: string) => memory(base + 0x2000n, text(bytes));

/** The same inside a function: the buffer lies in the connection, `distance` behind its key. */
export function parseInside(bytes: string, connection = 1, distance = 0x90): string[] {
  const base = connectionKey(connection) + BigInt(distance);
  return [
    memory(base, bufferAt(base, bytes)),
    bytesOf(base, bytes),
    probe('hyper_client_parse_at', { rsi: base, offset: distance, register: 6 }),
  ];
}

const STATES = { waiting: 4, returned: 1, panicked: 2, fresh: 0 } as const;

export interface DropOptions extends CallOptions {
  /** Where the future holds the path's pointer, and how large it is. */
  readonly at?: number;
  readonly size?: number;
  readonly stateAt?: number;
  /** Number of the call whose future lies behind. */
  readonly next?: number;
  /** Number of the call whose path is at a place before its own that is not in use any more. */
  readonly stale?: number;
}

/** The future of a call is dropped. */
export function drop(id: number, state: keyof typeof STATES, options: DropOptions = {}): string[] {
  const { at = 0x128, size = 0x600, stateAt = FUTURE_STATE, next, stale } = options;
  const future = structure(size, [
    [at, pathAt(id, options)],
    ...(next === undefined ? [] : [[at + 0x200, pathAt(next, {})] as const]),
    ...(stale === undefined ? [] : [[at - 0x80, pathAt(stale, {})] as const]),
  ]);
  future.set([STATES[state]], FUTURE_STATE);
  const rdi = place(id, 6);
  return [memory(rdi, future), probe('hyper_client_drop', { rdi, offset: stateAt })];
}

const urlMemory = (id: number, page: number): string[] => [
  memory(place(id, 12), text('http://h/x')),
  memory(place(id, page), structure(0x80, [[REQUEST_URL, place(id, 12)]])),
];

/** reqwest::blocking hands a request over; `execute`: its own thread has it. */
export const blockingCall = (id: number): string[] => [
  ...urlMemory(id, 10),
  probe('reqwest_blocking_call', { rsi: place(id, 10), register: 6, offset: REQUEST_URL }),
];
export const execute = (id: number): string[] => [
  ...urlMemory(id, 11),
  probe('reqwest_execute', { rdx: place(id, 11), register: 2, offset: REQUEST_URL }),
];

export const clientError = probe('reqwest_error');

/** A connect begins, ends well, or fails. */
export const connecting = (socket = 1) => `state ${socket} 2`;
export const connected = (socket = 1) => `state ${socket} 1`;
export const refused = (errno: number, socket = 1) => `state ${socket} 7 ${errno}`;

export const inTask = (task: number) => thread(1, task);
