import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type CallEndEvent,
  type CallEvent,
  type CheckEvent,
  type ClientResponseEvent,
  type ClosedEvent,
  createDecoder,
  type EventHeader,
  type Needed,
  type PieceEvent,
  type RequestEvent,
  type ResponseEvent,
  type StreamEvent,
} from '../../src/events/events.ts';
import { COUNTER, TARGET_FLAG } from '../../src/events/layout.ts';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const BPF = join(ROOT, 'bpf');

/** `alignment` is left out: BPF programs load unaligned words. */
const FLAGS = [
  ...['-std=gnu17', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-fno-strict-aliasing'],
  ...['-Wno-unused-parameter', '-Wno-sign-compare', '-Wno-unknown-pragmas', '-Wno-unknown-attributes'],
  ...['-fsanitize=address,undefined', '-fno-sanitize=alignment', '-fno-sanitize-recover=undefined'],
  ...[`-I${join(BPF, 'host/include')}`, `-I${BPF}`],
];

/** Compiles bpf/host/replay.c, once for all test files of the same sources. */
export function compileReplay(): string {
  const hash = createHash('sha256').update(FLAGS.join(' '));
  for (const name of readdirSync(BPF, { recursive: true, encoding: 'utf8' }).sort())
    if (/\.[ch]$/.test(name)) hash.update(readFileSync(join(BPF, name)));
  const folder = join(ROOT, 'dist/bpf-host');
  const program = join(folder, `replay-${hash.digest('hex').slice(0, 16)}`);
  if (existsSync(program)) return program;
  if (compileFailure) throw compileFailure;
  mkdirSync(folder, { recursive: true });
  const partial = `${program}.${process.pid}`;
  try {
    execFileSync('gcc', [...FLAGS, join(BPF, 'host/replay.c'), '-o', partial], { stdio: 'inherit' });
  } catch (error) {
    compileFailure = error;
    throw error;
  }
  renameSync(partial, program);
  return program;
}

/** What doesn't compile for one test doesn't for the next. */
let compileFailure: unknown;

export type Recorded =
  | { readonly kind: 'request'; readonly event: RequestEvent }
  | { readonly kind: 'piece'; readonly event: PieceEvent }
  | { readonly kind: 'dropped'; readonly connection: number }
  | { readonly kind: 'response'; readonly event: ResponseEvent }
  | { readonly kind: 'closed'; readonly event: ClosedEvent }
  | { readonly kind: 'exec' | 'exit' | 'panic' | `needed-${Needed}`; readonly event: EventHeader }
  | { readonly kind: 'call'; readonly event: CallEvent }
  | { readonly kind: 'client-request'; readonly event: RequestEvent }
  | { readonly kind: 'client-response' | 'client-closed'; readonly event: ClientResponseEvent }
  | { readonly kind: 'call-end'; readonly event: CallEndEvent }
  | { readonly kind: 'stream'; readonly event: StreamEvent }
  | { readonly kind: 'check'; readonly event: CheckEvent };

export type CounterName = Exclude<keyof typeof COUNTER, 'MAX'>;

export interface Replayed {
  readonly records: readonly Recorded[];
  /** What went out of `message` commands, a byte a character. */
  readonly messages: readonly string[];
  /** Those that are not 0. */
  readonly counters: Readonly<Partial<Record<CounterName, number>>>;
}

export type Commands = readonly string[];

/** Runs each list of commands in a fresh world, all in one process. */
export function replay(cases: readonly Commands[]): Replayed[] {
  const input = cases.map((commands) => commands.join('\n')).join('\nreset\n');
  const { status, stdout, stderr, signal } = spawnSync(compileReplay(), {
    input: `${input}\n`,
    encoding: 'latin1',
    maxBuffer: 2 ** 30,
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' },
    timeout: 120_000,
  });
  assert.equal(status, 0, `replay ended with ${signal ?? status}: ${stderr.slice(0, 4000)}`);
  return readOutput(stdout, cases.length);
}

export function replayOne(commands: Commands): Replayed {
  const [result] = replay([commands]);
  assert(result);
  return result;
}

function readOutput(output: string, count: number): Replayed[] {
  const results: Replayed[] = [];
  let records: Recorded[] = [];
  let messages: string[] = [];
  const decode = recorder((record) => records.push(record));
  for (const line of output.split('\n')) {
    if (line.startsWith('e ')) decode(Buffer.from(line.slice(2), 'hex'));
    if (line.startsWith('m ')) messages.push(Buffer.from(line.slice(2), 'hex').toString('latin1'));
    if (!line.startsWith('c')) continue;
    results.push({ records, messages, counters: readCounters(line) });
    records = [];
    messages = [];
  }
  assert.equal(results.length, count);
  return results;
}

function readCounters(line: string): Replayed['counters'] {
  const values = line.split(' ').slice(1).map(Number);
  const named = Object.entries(COUNTER).map(([name, index]) => [name, values[index] ?? 0] as const);
  return Object.fromEntries(named.filter(([, value]) => value !== 0));
}

function recorder(add: (record: Recorded) => void): (record: Buffer) => void {
  const decode = createDecoder({
    request: (event) => add({ kind: 'request', event }),
    piece: (event) => add({ kind: 'piece', event }),
    headDropped: (connection) => add({ kind: 'dropped', connection }),
    response: (event) => add({ kind: 'response', event }),
    closed: (event) => add({ kind: 'closed', event }),
    exec: (event) => add({ kind: 'exec', event }),
    exit: (event) => add({ kind: 'exit', event }),
    panic: (event) => add({ kind: 'panic', event }),
    needed: (event, what) => add({ kind: `needed-${what}`, event }),
    call: (event) => add({ kind: 'call', event }),
    clientRequest: (event) => add({ kind: 'client-request', event }),
    clientResponse: (event) => add({ kind: 'client-response', event }),
    clientClosed: (event) => add({ kind: 'client-closed', event }),
    callEnd: (event) => add({ kind: 'call-end', event }),
    stream: (event) => add({ kind: 'stream', event }),
    check: (event) => add({ kind: 'check', event }),
    unknown: (kind, size) => assert.fail(`record of unknown kind ${kind}, ${size} bytes`),
  });
  return (record) => {
    decode(new DataView(record.buffer, record.byteOffset, record.length), record, 0, record.length);
  };
}

// ---- commands ----

export interface TransferOptions {
  readonly socket?: number;
  /** `plain`: read or write; `to`: recvfrom or sendto; `vector:<sizes>`, `message:<sizes>`; `other`: sendfile. */
  readonly call?: string;
  /** Bytes that the system call returns, when not all. */
  readonly moved?: number;
  readonly flags?: number;
}

const hex = (text: string) => (text === '' ? '-' : Buffer.from(text, 'latin1').toString('hex'));

/** `text` holds a byte a character. */
const transfer =
  (name: 'recv' | 'send') =>
  (text: string, options: TransferOptions = {}): string => {
    const { socket = 1, call = 'plain', moved, flags } = options;
    const more =
      (moved === undefined ? '' : ` moved=${moved}`) + (flags === undefined ? '' : ` flags=${flags}`);
    return `${name} ${socket} ${call} ${hex(text)}${more}`;
  };
export const recv = transfer('recv');
export const send = transfer('send');

export interface MessageOptions {
  readonly socket?: number;
  readonly call?: string;
  /** Sizes of the first pieces; the last one takes what is left. */
  readonly pieces?: readonly number[];
  /** The n-th helper that moves bytes fails. */
  readonly fail?: number;
}

/** What sk_msg sees before the system call returns. */
export function message(text: string, options: MessageOptions = {}): string {
  const { socket = 1, call = 'plain', pieces = [], fail } = options;
  const more = (pieces.length > 0 ? ` pieces=${pieces}` : '') + (fail === undefined ? '' : ` fail=${fail}`);
  return `message ${socket} ${call} ${hex(text)}${more}`;
}

/** `errno`: what the socket's error is then. */
export const state = (value: number, socket = 1, errno = 0) => `state ${socket} ${value} ${errno}`;
export const thread = (tid: number, task = 0) => `thread 1 ${tid} ${task}`;
export const memory = (address: bigint, bytes: Uint8Array) =>
  `memory ${address} ${Buffer.from(bytes).toString('hex') || '-'}`;

/** Bits of enum target_flag. */
export const targetCommand = (flags: number) => `target 1 ${flags} 0`;
export const TARGET = targetCommand(TARGET_FLAG.SOCKET);

// ---- what the records say ----

/** Heads put together from their pieces, as user space does it. */
export function wholeHeads(records: readonly Recorded[]): Map<RequestEvent, string> {
  const pieces = new Map<number, string>();
  const heads = new Map<RequestEvent, string>();
  for (const record of records) {
    if (record.kind === 'dropped') pieces.delete(record.connection);
    if (record.kind !== 'piece' && record.kind !== 'request') continue;
    const { connection, head, overlap, headSize } = record.event;
    const text = (pieces.get(connection) ?? '') + head.slice(overlap);
    assert(overlap <= head.length, `overlap ${overlap} in ${head.length} bytes`);
    if (head !== '') assert.equal(text.length, headSize, `pieces leave a gap: ${JSON.stringify(text)}`);
    if (record.kind === 'piece') {
      pieces.set(connection, text);
    } else {
      pieces.delete(connection);
      heads.set(record.event, text);
    }
  }
  return heads;
}
