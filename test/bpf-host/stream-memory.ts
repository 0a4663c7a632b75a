import { standardHeaderNumber } from '../../src/base/standard-headers.ts';
import { layoutCommand, type Member, probe, structure } from './client-memory.ts';
import { memory } from './driver.ts';

/** As in client-memory.ts: where nothing of h2's has ever lain. */
const LAYOUT = {
  entrySize: 0x68,
  entryValue: 0x18,
  entryNameCustom: 0x40,
  entryName: 0x48,
  entryNameTag: 0x48,
  frameEntries: 0x20,
  frameEntriesLength: 0x28,
  frameMethod: 0x109,
  frameScheme: 0x80,
  frameAuthority: 0xa0,
  framePath: 0xc0,
  frameProtocol: 0xe0,
  frameTextPresent: 0xfff8, // the word before
  frameStatus: 0x106,
  streamStore: 0,
  streamId: 12,
  streamsInner: 0x10,
  innerStore: 0x58,
  goAwayLastId: 0x1c,
} as const satisfies Partial<Record<Member, number>>;

type StreamMember = keyof typeof LAYOUT;
type Change = Partial<Record<StreamMember, number>>;

const WANTED = ['content-type', 'host', 'user-agent', 'te', 'x-xss-protection'];

export const streamLayout = (
  change: Partial<Record<Member, number>> = {},
  headers: readonly string[] = WANTED,
) => layoutCommand({ ...LAYOUT, ...change }, 0, headers);

const FRAME_SIZE = 320;
const NO_METHOD = 11;
const EXTENSION = 10;

const FRAME = 0x5900_0000_0000n;
const ENTRIES = 0x5900_0001_0000n;
const TEXTS = 0x5900_0002_0000n;
const POINTER = 0x5900_0004_0000n;
const STREAMS = 0x5900_0005_0000n;
const UNMAPPED = 0x5900_0006_0000n;

const STORE = 0x5800_0000_0058n;
const CONNECTION = 0x1_0000n;

/** Connections are numbered here; the kernel side knows them by the addresses of their stores. */
export const storeOf = (connection: number) => STORE + BigInt(connection) * CONNECTION;
export const connectionOf = (store: number) => (store - Number(STORE)) / Number(CONNECTION);

export type Header = readonly [name: string, value: string];

export interface FrameOptions {
  /** Tag of http::Method, or the text of an extension. */
  readonly method?: number | string;
  readonly scheme?: string;
  readonly authority?: string;
  readonly path?: string;
  readonly protocol?: string;
  readonly status?: number;
  readonly headers?: readonly Header[];
  /** Where the HeaderMap has its entries. */
  readonly entries?: bigint;
  /** Not readable. */
  readonly lost?: 'frame' | 'entries' | 'texts' | 'stream';
  /** Offsets that another version of the library has. */
  readonly layout?: Change;
}

/** Texts one behind the other, as a heap never has them. */
class Texts {
  private bytes = '';

  add(text: string): readonly [pointer: bigint, size: number] {
    const pointer = TEXTS + BigInt(this.bytes.length);
    this.bytes += text;
    return [pointer, text.length];
  }

  command(lost: boolean): string {
    return memory(TEXTS, Buffer.from(lost ? '' : this.bytes, 'latin1'));
  }
}

const PSEUDO = [
  ['scheme', 'frameScheme'],
  ['authority', 'frameAuthority'],
  ['path', 'framePath'],
  ['protocol', 'frameProtocol'],
] as const;

function frameBytes(options: FrameOptions, texts: Texts): Buffer {
  const at = { ...LAYOUT, ...options.layout };
  const { method = NO_METHOD, status = 0, headers = [], entries = ENTRIES } = options;
  const bytes = structure(FRAME_SIZE, [
    [at.frameEntries, entries],
    [at.frameEntriesLength, headers.length],
  ]);
  for (const [name, member] of PSEUDO) {
    const present = (at[member] + at.frameTextPresent) & 0xffff;
    const text = options[name];
    bytes.writeBigUInt64LE(text === undefined ? 0n : 0x7777n, present);
    if (text !== undefined) writeText(bytes, at[member], texts.add(text));
  }
  bytes.writeUInt16LE(status, at.frameStatus);
  bytes.writeUInt8(typeof method === 'string' ? EXTENSION : method, at.frameMethod);
  return bytes;
}

function writeText(bytes: Buffer, at: number, [pointer, size]: readonly [bigint, number]): void {
  bytes.writeBigUInt64LE(pointer, at);
  bytes.writeBigUInt64LE(BigInt(size), at + 8);
}

function entryBytes([name, value]: Header, texts: Texts): Buffer {
  const bytes = structure(LAYOUT.entrySize, []);
  const number = standardHeaderNumber(name);
  bytes.writeBigUInt64LE(number === undefined ? 1n : 0n, LAYOUT.entryNameCustom);
  if (number === undefined) writeText(bytes, LAYOUT.entryName, texts.add(name));
  else bytes.writeUInt8(number, LAYOUT.entryNameTag);
  writeText(bytes, LAYOUT.entryValue, texts.add(value));
  return bytes;
}

function frameMemory(options: FrameOptions): string[] {
  const { headers = [], entries = ENTRIES, lost } = options;
  const texts = new Texts();
  const frame = frameBytes(options, texts);
  const list = Buffer.concat(headers.map((header) => entryBytes(header, texts)));
  return [
    memory(FRAME, lost === 'frame' ? Buffer.alloc(0) : frame),
    memory(entries, lost === 'entries' ? Buffer.alloc(0) : list),
    texts.command(lost === 'texts'),
  ];
}

/** `store::Ptr` of a stream. */
function pointerMemory(connection: number, id: number, options: FrameOptions): string {
  const { streamStore, streamId } = { ...LAYOUT, ...options.layout };
  const bytes = structure(16, [[streamStore, storeOf(connection)]]);
  bytes.writeUInt32LE(id, streamId);
  return memory(POINTER, options.lost === 'stream' ? Buffer.alloc(0) : bytes);
}

/** DynStreams of a connection. */
const streamsMemory = (connection: number): string =>
  memory(STREAMS, structure(0x20, [[LAYOUT.streamsInner, storeOf(connection) - BigInt(LAYOUT.innerStore)]]));

/** In x86 encodings. */
const REGISTER = { rcx: 1, rdx: 2, rsi: 6, rdi: 7, r8: 8 } as const;
const both = (frame: keyof typeof REGISTER, stream: keyof typeof REGISTER) =>
  REGISTER[frame] | (REGISTER[stream] << 4);

const hookMemory = (connection: number, id: number, options: FrameOptions): string[] => [
  ...frameMemory(options),
  pointerMemory(connection, id, options),
];

/** `Recv::recv_headers(out, &mut self, frame, stream)` and such. */
const received =
  (program: string) =>
  (connection: number, id: number, options: FrameOptions = {}): string[] => [
    ...hookMemory(connection, id, options),
    `${probe(program, { rdx: FRAME, register: both('rdx', 'rcx') })} cx=${POINTER}`,
  ];

/** `Send::send_headers(&mut self, frame, buffer, stream)` and such. */
const sent =
  (program: string) =>
  (connection: number, id: number, options: FrameOptions = {}): string[] => [
    ...hookMemory(connection, id, options),
    `${probe(program, { rsi: FRAME, rdx: UNMAPPED, register: both('rsi', 'rcx') })} cx=${POINTER}`,
  ];

export const recvHeaders = received('h2_recv_headers');
export const recvTrailers = received('h2_recv_trailers');
export const sendHeaders = sent('h2_send_headers');
export const sendTrailers = sent('h2_send_trailers');

/** hyper's server accepts a stream. */
export const takeRequest = (connection: number, id: number): string[] => [
  pointerMemory(connection, id, {}),
  probe('h2_take_request', { rdx: POINTER, register: REGISTER.rdx << 4 }),
];

export const sendReset = (connection: number, id: number, reason: number): string[] => [
  pointerMemory(connection, id, {}),
  `${probe('h2_send_reset', { rsi: BigInt(reason), rdx: 1n, register: both('rsi', 'r8') })} r8=${POINTER}`,
];

export const cancel = (connection: number, id: number): string[] => [
  pointerMemory(connection, id, {}),
  probe('h2_cancel', { rsi: POINTER, register: REGISTER.rsi << 4 }),
];

/** `frame::Reset` comes in a register: stream id below, error code above. */
export const recvReset = (connection: number, id: number, reason: number): string[] => [
  streamsMemory(connection),
  probe('h2_recv_reset', {
    ...{ rsi: STREAMS, rdx: BigInt(id) },
    register: both('rdx', 'rsi'),
  }).concat(` cx=${reason}`),
];

export const closed = (connection: number): string[] => [
  streamsMemory(connection),
  probe('h2_closed', { rdi: STREAMS, register: REGISTER.rdi << 4 }),
];

/** Of functions that have parts of what their source says in registers: the store lies so far behind what rdi points to. */
const inRegisters = (connection: number, distance: number, number: 'rcx' | 'rsi') => ({
  rdi: storeOf(connection) - BigInt(distance),
  offset: 0 - distance,
  register: both(number, 'rdi') | 0x100,
});
const BEHIND_LOCK = 456;
const BEHIND_ARC = 472;
const BEHIND_COUNTS = 448;

export const closedByLock = (connection: number): string[] => [
  probe('h2_closed', inRegisters(connection, BEHIND_LOCK, 'rcx')),
];
export const resetInRegisters = (connection: number, id: number, reason: number): string[] => [
  probe('h2_recv_reset', {
    ...inRegisters(connection, BEHIND_COUNTS, 'rsi'),
    ...{ rsi: BigInt(id), rdx: BigInt(reason) },
  }),
];
export const goAwayInRegisters = (connection: number, last: number): string[] => [
  `${probe('h2_go_away', inRegisters(connection, BEHIND_LOCK, 'rcx'))} cx=${last}`,
];
export const takeInRegisters = (connection: number, id: number): string[] => [
  `${probe('h2_take_request', inRegisters(connection, BEHIND_ARC, 'rcx'))} cx=${id}`,
];

export function recvGoAway(connection: number, last: number): string[] {
  const frame = structure(FRAME_SIZE, []);
  frame.writeUInt32LE(last, LAYOUT.goAwayLastId);
  const list = [streamsMemory(connection), memory(FRAME, frame)];
  return [...list, probe('h2_go_away', { rsi: STREAMS, rdx: FRAME, register: both('rdx', 'rsi') })];
}

export const UNREADABLE = UNMAPPED;
