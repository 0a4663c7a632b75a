import assert from 'node:assert/strict';
import type {
  CallEndEvent,
  CallEvent,
  ClientResponseEvent,
  RequestEvent,
  StreamEvent,
} from '../../src/events/events.ts';
import { CALL_SCHEME, EVENT_KIND, FUTURE_STATE, ORPHAN } from '../../src/events/layout.ts';
import { HTTP_METHODS } from '../../src/spans/client-attributes.ts';
import { parseRequestHead } from '../../src/spans/request-head.ts';
import { type Recorded, type Replayed, wholeHeads } from './driver.ts';
import { connectionOf } from './stream-memory.ts';

/** Names of spans by their ids: of a server's request its target, of a call its number. */
type Names = Map<string, string>;

/**
 * A line an event. Connections above the first are named.
 *
 *     > 0 GET / HTTP/1.1        < 0 200    closed 1 lost                      server
 *     call 1 GET http://h/x in /a          call 2 GET http://h/x no_task      parent's target, or why it has none
 *     => 0 GET /x HTTP/1.1 in /a           => 0 call 1       => 0 tls call 1  client
 *     <= 0 200                  <= 0 200 call 1              client closed 1 errno 104
 *     end 1 suspended given-up connects 2 established 1 errno 111 port 80
 *
 * Of HTTP/2, with the number that stream-memory.ts gives the connection and that of the stream:
 *
 *     1/1 > GET http h /a content-type=x           1/1 < 200 routes /a     1/1 <- grpc-status=0      server
 *     channel 1 POST /s/m in 1/1                   1/3 => call 1 POST /a   1/3 => alone GET /a       client
 *     1/3 <= 200                1/3 <=- grpc-status=0     1/3 reset 8     1/3 own reset 2
 *     1 closed                  1 client closed above 5   socket 2 closed
 */
export function summary({ records, counters }: Replayed): string[] {
  const heads = wholeHeads(records);
  const names: Names = new Map();
  const lines = records.flatMap((record) => {
    const line = lineOf(record, heads, names);
    return line === undefined ? [] : [line];
  });
  return [...lines, ...Object.entries(counters).map(([name, value]) => `${name} ${value}`)];
}

const where = (connection: number) => (connection > 1 ? `#${connection} ` : '');

function lineOf(record: Recorded, heads: Map<RequestEvent, string>, names: Names): string | undefined {
  if (record.kind === 'piece' || record.kind === 'dropped') return undefined;
  const { event } = record;
  const at = where(event.connection);
  switch (record.kind) {
    case 'request': {
      const line = requestLine(heads.get(record.event) ?? '', record.event.headSize);
      names.set(spanKey(record.event), line.split(' ')[1] ?? '');
      return `${at}> ${event.sequence} ${line}`;
    }
    case 'response':
      return `${at}< ${event.sequence} ${record.event.status}`;
    case 'closed':
      return `${at}closed ${event.sequence}${flags(record.event)}`;
    case 'call':
      names.set(spanKey(record.event), `call ${event.connection}`);
      return callLine(record.event, names);
    case 'client-request':
      return `${at}=> ${event.sequence} ${clientRequest(record.event, names)}`;
    case 'client-response':
      return `${at}<= ${event.sequence} ${record.event.status}${callOf(record.event)}`;
    case 'client-closed':
      return `${at}client closed ${event.sequence}${flags(record.event)}${callOf(record.event)}`;
    case 'call-end':
      return endLine(record.event);
    case 'stream':
      return streamLine(record.event, names);
    default:
      return record.kind;
  }
}

/** The request line, or `malformed` where user space refuses the head. */
function requestLine(head: string, headSize: number): string {
  const parsed = parseRequestHead(head, head.length >= headSize, undefined);
  return parsed ? `${parsed.method} ${parsed.target} HTTP/${parsed.version}` : 'malformed';
}

const spanKey = (e: RequestEvent | CallEvent | StreamEvent) =>
  `${e.traceId0} ${e.traceId1} ${e.traceId2} ${e.traceId3} ${e.spanId0} ${e.spanId1}`;
const parentKey = (e: RequestEvent | CallEvent) =>
  `${e.traceId0} ${e.traceId1} ${e.traceId2} ${e.traceId3} ${e.parentId0} ${e.parentId1}`;

const SCHEMES = Object.entries(CALL_SCHEME).map(([name]) => name.toLowerCase());
const STATES = Object.keys(FUTURE_STATE).map((name) => name.toLowerCase());
const ORPHANS = Object.keys(ORPHAN).map((name) => name.toLowerCase());

function callLine(event: CallEvent, names: Names): string {
  const method = HTTP_METHODS[event.method] ?? 'extension';
  if (event.channel) {
    const { authority, path, scheme } = event;
    assert.deepEqual([authority, scheme], ['', CALL_SCHEME.NONE]);
    return `channel ${event.connection} ${method} ${path} ${parentName(event, names, ORPHANS[event.orphan])}`;
  }
  const url = `${SCHEMES[event.scheme]}://${event.authority}${event.path}${event.cut ? '…' : ''}`;
  return `call ${event.connection} ${method} ${url} ${parentName(event, names, ORPHANS[event.orphan])}`;
}

function parentName(event: CallEvent | RequestEvent, names: Names, orphan: string | undefined): string {
  if ((event.parentId0 | event.parentId1) === 0) return orphan ?? assert.fail(`no parent, and no reason`);
  assert(orphan === undefined || orphan === 'none', `a parent, and ${orphan}`);
  return `in ${names.get(parentKey(event)) ?? 'an unreported span'}`;
}

/** Of a call's request the ids are the call's. */
function clientRequest(event: RequestEvent, names: Names): string {
  const tls = `${event.tls ? 'tls ' : ''}${event.resend ? 'resend ' : ''}`;
  const text = event.head === '' ? '' : requestLine(event.head, event.headSize);
  if (event.socket === 0) {
    const parent = event.hasParent ? parentName(event, names, undefined) : 'alone';
    return `${tls}${text || 'headless'} ${parent}`;
  }
  assert.equal(names.get(spanKey(event)) ?? `call ${event.socket}`, `call ${event.socket}`);
  return `${tls}call ${event.socket}${text && ` ${text}`}`;
}

const callOf = ({ call }: ClientResponseEvent) => (call === 0 ? '' : ` call ${call}`);

function flags(event: {
  readonly lost: boolean;
  readonly exiting: boolean;
  readonly error?: number;
}): string {
  const errno = event.error ? ` errno ${event.error}` : '';
  return `${event.lost ? ' lost' : ''}${event.exiting ? ' exiting' : ''}${errno}`;
}

function endLine(event: CallEndEvent): string {
  const numbers = [
    ...[['connects', event.connects] as const, ['established', event.established] as const],
    ...[['errno', event.connectError] as const, ['port', event.connectPort] as const],
  ];
  const words = [
    ...[STATES[event.state], event.written && 'written', event.givenUp && 'given-up'],
    ...[event.spawned && 'spawned', ...numbers.map(([name, value]) => value !== 0 && `${name} ${value}`)],
  ];
  return `end ${event.connection} ${words.filter((word) => word !== false).join(' ')}`;
}

const MARKS: Readonly<Record<number, readonly [server: string, client: string]>> = {
  [EVENT_KIND.STREAM_REQUEST]: ['>', '=>'],
  [EVENT_KIND.STREAM_RESPONSE]: ['<', '<='],
  [EVENT_KIND.STREAM_TRAILERS]: ['<-', '<=-'],
};

function streamLine(event: StreamEvent, names: Names): string {
  const { kind, client, sequence } = event;
  const connection = connectionOf(event.connection);
  const at = `${connection}/${sequence}`;
  if (kind === EVENT_KIND.STREAM_RESET) return `${at} ${event.local ? 'own ' : ''}reset ${event.reason}`;
  if (kind === EVENT_KIND.STREAMS_CLOSED) {
    if (event.connection === 0) return `socket ${event.socket} closed`;
    return `${connection}${client ? ' client' : ''} closed${sequence === 0 ? '' : ` above ${sequence}`}`;
  }
  const mark = MARKS[kind]?.[client ? 1 : 0] ?? assert.fail(`record of kind ${kind}`);
  const words = kind === EVENT_KIND.STREAM_REQUEST ? streamRequest(event, at, names) : [];
  return [at, mark, ...words, ...streamWords(event)].join(' ');
}

function streamRequest(event: StreamEvent, at: string, names: Names): string[] {
  if (!event.client) names.set(spanKey(event), at);
  const { method = HTTP_METHODS[event.methodTag] ?? 'extension', scheme, authority, path, protocol } = event;
  const words = [method, scheme, authority, path, protocol].filter((word) => word !== undefined);
  if (!event.client) return [...(event.hasParent ? ['traced'] : []), ...words];
  if (event.call === 0) return ['alone', ...words];
  assert.equal(names.get(spanKey(event)) ?? `call ${event.call}`, `call ${event.call}`);
  return [`call ${event.call}`, ...words];
}

function streamWords({ status, headers, routes, cut, cutTarget, tls, socket }: StreamEvent): string[] {
  return [
    ...(status === 0 ? [] : [`${status}`]),
    ...headers.map(([name, value]) => `${name}=${value}`),
    ...(routes.length === 0 ? [] : ['routes', ...routes]),
    ...(cut ? ['cut'] : []),
    ...(cutTarget ? ['cut-target'] : []),
    ...(tls ? ['tls'] : []),
    ...(socket === 0 ? [] : [`on ${socket}`]),
  ];
}
