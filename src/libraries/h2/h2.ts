import type { BinaryFacts, SymbolQuery } from '../../analysis/facts.ts';
import type { Recogniser } from '../../recover/recogniser.ts';
import { type ArgumentName, type Hook, hasFunction, type Library } from '../library.ts';
import {
  connectionMethod,
  recogniseMethod,
  type Shape,
  type StreamMethod,
  streamMethod,
  streamSide,
} from './recover.ts';
import { convertSendMessage, recvGoAway, recvReset, takeRequest } from './recover-inlined.ts';

export { IN_REGISTERS } from './recover-inlined.ts';

const STREAMS = 'h2::proto::streams';
/** Instantiations of a generic function: one for each type of body. */
const INSTANCES = 64;
/** In x86 encodings. */
const REGISTERS = { rdx: 2, rcx: 1, rsi: 6, rdi: 7, r8: 8 } as const;
type Register = keyof typeof REGISTERS;

/** Arguments of the methods, for programs without symbols: see STREAM_HOOKS. */
const PLACES: Readonly<Record<string, Readonly<Partial<Record<ArgumentName, Shape>>>>> = {
  'h2.Recv.recv_headers': { rdx: 'value', rcx: 'ptr', r8: 'value' },
  'h2.Recv.recv_trailers': { rdx: 'value', rcx: 'ptr' },
  'h2.Recv.take_request': { rdx: 'ptr' },
  'h2.Recv.enqueue_reset_expiration': { rdi: 'value', rsi: 'ptr', rdx: 'value' },
  'h2.Send.send_headers': { rdi: 'value', rsi: 'value', rcx: 'ptr', r8: 'value' },
  'h2.Send.send_trailers': { rdi: 'value', rsi: 'value', rcx: 'ptr', r8: 'value' },
  'h2.Send.send_reset': { rdi: 'value', rsi: 'value', r8: 'ptr' },
  'h2.StreamRef.send_trailers': { rdi: 'handle', rsi: 'value' },
  'h2.Streams.send_request': { rsi: 'handle', rdx: 'value' },
  'h2.DynStreams.recv_reset': { rsi: 'handle', rdx: 'value' },
  'h2.DynStreams.recv_eof': { rdi: 'handle' },
  'h2.DynStreams.handle_error': { rdi: 'handle', rsi: 'value' },
  'h2.DynStreams.recv_go_away': { rsi: 'handle', rdx: 'value' },
};

/** Legacy names are `Recv::recv_headers`, v0 names `<Recv>::recv_headers` with the types of a generic one behind. */
const method = (type: string, name: string): SymbolQuery => {
  const [generic, plain = ''] = [type.endsWith('<B>'), type.replace('<B>', '').split('::').at(-1)];
  const path = `${STREAMS}::${type.replace('<B>', generic ? '<.*>' : '')}`;
  const id = `h2.${plain}.${name}`;
  return {
    id,
    kind: 'function',
    contains: ['h2', 'streams', plain, name],
    pattern: new RegExp(`^<?${path}>?::${name}(?:::<.*>)?$`),
    recovery: {
      kind: 'functions',
      find: either(recogniseMethod(recoverable(plain, name, PLACES[id] ?? {})), INLINED[id]?.find),
    },
    ...(INLINED[id] && { inlinedBeside: [INLINED[id].beside] }),
  };
};

interface Inlined {
  readonly find: Recogniser;
  /** A query with an answer in every program that has code of the method. */
  readonly beside: string;
}

/** Methods that are found also where they are inlined. */
const INLINED: Readonly<Record<string, Inlined>> = {
  'h2.Recv.take_request': { find: takeRequest, beside: 'h2.server' },
  'h2.Streams.send_request': { find: convertSendMessage, beside: 'h2.client' },
  'h2.DynStreams.recv_reset': { find: recvReset, beside: 'h2.Send.send_headers' },
  'h2.DynStreams.recv_go_away': { find: recvGoAway, beside: 'h2.Send.send_headers' },
};

const either =
  (first: Recogniser, second: Recogniser | undefined): Recogniser =>
  (program) => {
    const found = first(program);
    const other = 'reason' in found ? second?.(program) : undefined;
    return other && !('reason' in other) ? other : found;
  };

const recoverable = (type: string, name: string, places: StreamMethod['arguments']): StreamMethod =>
  type === 'Recv' || type === 'Send'
    ? streamMethod(type, name, places)
    : connectionMethod(type, name, places);

const DYN = 'streams::DynStreams<B>';
const REF = 'streams::StreamRef<B>';

/** Where a hook finds the frame (or its reason) and the stream: `store::Ptr` or DynStreams. */
interface Arguments {
  readonly frame?: Register;
  readonly stream: Register;
}

const hook = (
  program: Hook['program'],
  [type, name]: readonly [type: string, method: string],
  { frame, stream }: Arguments,
  gives: string,
): StreamHook => ({
  name: `h2.${program.replace(/^h2_/, '')}`,
  program,
  query: method(type, name).id,
  arguments: frame ? [frame, stream] : [stream],
  limit: INSTANCES,
  register: (frame ? REGISTERS[frame] : 0) | (REGISTERS[stream] << 4),
  ...(type === DYN ? { handle: stream } : {}),
  gives,
});

/** A hook whose cookie tells the kernel side in which registers its arguments are. */
export interface StreamHook extends Hook {
  readonly register: number;
  /** Which argument is a reference to DynStreams. */
  readonly handle?: Register;
}

/** Bytes of DynStreams: pointers to the lock and to the send buffer, and which side it is. */
export const HANDLE_SIZE = 24;

const RECV = 'recv::Recv';
const SEND = 'send::Send';

/**
 * HTTP/2 of both sides, above TLS, h2 0.3 and 0.4:
 *
 *     fn Recv::recv_headers(out rdi, &mut self rsi, frame rdx, stream: &mut Ptr rcx, counts r8)
 *     fn Recv::recv_trailers(out rdi, &mut self rsi, frame rdx, stream rcx)
 *     fn Recv::take_request(out rdi, &mut self rsi, stream rdx)            the request goes to its handler
 *     fn Send::send_headers(&mut self rdi, frame rsi, buffer rdx, stream rcx, counts r8, task r9) → al
 *     fn Send::send_trailers(&mut self rdi, frame rsi, buffer rdx, stream rcx, counts r8, task r9) → al
 *     fn Send::send_reset(&mut self rdi, reason esi, initiator dl, buffer rcx, stream r8, counts r9, task)
 *     fn Recv::enqueue_reset_expiration(&mut self rdi, stream rsi, counts rdx)    each local reset, implicit ones too
 *     fn Streams::send_request(out rdi, &mut self rsi, Request<()> rdx, …)    the caller of send_headers in clients
 *     fn StreamRef::send_trailers(&mut self rdi, HeaderMap rsi) → al       its caller
 *     fn DynStreams::recv_reset(out rdi, &mut self rsi, frame: Reset rdx)  stream id, error code in one register
 *     fn DynStreams::recv_eof(&mut self rdi, bool esi), handle_error(&mut self rdi, error rsi)
 *     fn DynStreams::recv_go_away(out rdi, &mut self rsi, frame rdx)
 */
export const STREAM_HOOKS: readonly StreamHook[] = [
  hook(
    'h2_recv_headers',
    [RECV, 'recv_headers'],
    { frame: 'rdx', stream: 'rcx' },
    'requests and responses that are received',
  ),
  hook(
    'h2_recv_trailers',
    [RECV, 'recv_trailers'],
    { frame: 'rdx', stream: 'rcx' },
    'the status of gRPC calls that it makes',
  ),
  hook(
    'h2_send_headers',
    [SEND, 'send_headers'],
    { frame: 'rsi', stream: 'rcx' },
    'requests and responses that are sent',
  ),
  hook('h2_send_reset', [SEND, 'send_reset'], { frame: 'rsi', stream: 'r8' }, 'reasons of its resets'),
  hook('h2_cancel', [RECV, 'enqueue_reset_expiration'], { stream: 'rsi' }, 'streams that it gives up'),
  hook('h2_recv_reset', [DYN, 'recv_reset'], { frame: 'rdx', stream: 'rsi' }, 'resets by the peer'),
  hook('h2_closed', [DYN, 'recv_eof'], { stream: 'rdi' }, 'connections that end'),
  hook('h2_closed', [DYN, 'handle_error'], { stream: 'rdi' }, 'connections that fail'),
  hook('h2_go_away', [DYN, 'recv_go_away'], { frame: 'rdx', stream: 'rsi' }, 'connections that are closed'),
];

const TRAILERS = 'the status of gRPC calls that it answers';

export const SEND_TRAILERS = hook(
  'h2_send_trailers',
  [SEND, 'send_trailers'],
  { frame: 'rsi', stream: 'rcx' },
  TRAILERS,
);

/**
 * A program with one type of body has the one above inlined. The frame begins with its HeaderMap, and a StreamRef is
 * like a `store::Ptr` whose pointer is to the lock's Arc: the store is `offset` bytes behind.
 */
export const REF_SEND_TRAILERS = hook(
  'h2_send_trailers',
  [REF, 'send_trailers'],
  { frame: 'rsi', stream: 'rdi' },
  TRAILERS,
);

/** Only for what belongs to a request: its calls and routes. */
export const TAKE_REQUEST = hook(
  'h2_take_request',
  [RECV, 'take_request'],
  { stream: 'rdx' },
  'which task works for a request',
);

/**
 * Only for hyper's clients: `fn Streams::send_request(out rdi, &mut self rsi, Request<()> rdx, …)` still has the path by
 * which a call is kept whose HeaderMap has grown on the way.
 */
export const SEND_REQUEST = hook(
  'h2_send_request',
  ['streams::Streams<B>', 'send_request'],
  { frame: 'rdx', stream: 'rsi' },
  'whose request a connection sends',
);

/** Code that only a server, or only a client, has: each has what converts the messages of both (Peer). */
const side = (name: 'server' | 'client'): SymbolQuery => ({
  id: `h2.${name}`,
  kind: 'function',
  contains: ['h2', name],
  pattern: new RegExp(`^<?(?:h2|hyper::proto::h2)::${name}::(?!Peer\\b)`),
  recovery: { kind: 'functions', find: streamSide(name) },
});

export const h2: Library = {
  name: 'h2',
  queries: [
    ...['recv_headers', 'recv_trailers', 'take_request', 'enqueue_reset_expiration'].map((name) =>
      method(RECV, name),
    ),
    ...['send_headers', 'send_trailers', 'send_reset'].map((name) => method(SEND, name)),
    method(REF, 'send_trailers'),
    method('streams::Streams<B>', 'send_request'),
    ...['recv_reset', 'recv_eof', 'handle_error', 'recv_go_away'].map((name) => method(DYN, name)),
    side('server'),
    side('client'),
  ],
  hooks: [...STREAM_HOOKS, SEND_TRAILERS, REF_SEND_TRAILERS, TAKE_REQUEST, SEND_REQUEST],
};

/** Whether h2 is linked, as far as symbols tell. */
export const hasH2 = (facts: BinaryFacts): boolean => h2.queries.some(({ id }) => hasFunction(facts, id));
