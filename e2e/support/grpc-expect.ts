import type { GrpcRecord } from './grpc-load.ts';

/** By number: https://github.com/grpc/grpc/blob/master/doc/statuscodes.md */
const CODES =
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'.split(
    ' ',
  );
const SERVER_ERRORS = new Set(
  'UNKNOWN DEADLINE_EXCEEDED UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS'.split(' '),
);

/** How a span says that its call has ended. */
export interface RpcEnd {
  readonly status?: string;
  readonly error?: string;
  readonly reason?: string;
}

/** A span that must be there. */
export interface ExpectedRpc {
  readonly side: 'server' | 'client';
  readonly id: string;
  readonly method: string;
  /** Any of these. */
  readonly ends: readonly RpcEnd[];
  /** Port of the target; undefined where the call never gets so far. */
  readonly port: number | undefined;
  /** The program that has the span: what is called by it, or itself. */
  readonly downstream: boolean;
  /** The span may lack. */
  readonly optional: boolean;
  /** It ended before or as it was to be sent. */
  readonly mayBeUnsent: boolean;
}

/** One request of the load: its span, and those of the calls made for it, each with its span downstream. */
export interface ExpectedTree {
  readonly record: GrpcRecord;
  readonly shape: string;
  readonly request: ExpectedRpc;
  readonly calls: readonly ExpectedRpc[];
  readonly downstream: readonly ExpectedRpc[];
}

export interface Ports {
  readonly front: number;
  readonly downstream: number;
  readonly relay: number;
}

/** `2 Down late:13 cancelled` */
interface Line {
  readonly n: string;
  readonly method: string;
  readonly deed: string;
  /** undefined: dropped by its caller. */
  readonly code: number | undefined;
}

/** The shape of the calls that a request makes, or its own deed. */
export const shapeOfRecord = (record: GrpcRecord) => record.kind;

export function expectedTree(record: GrpcRecord, ports: Ports): ExpectedTree {
  const shape = record.kind.split('call:')[1];
  const deadline = record.kind.endsWith('.deadline');
  const lines = record.calls.map(lineOf);
  const request: ExpectedRpc = {
    ...{ side: 'server', id: record.id, method: record.method, port: ports.front },
    ends: serverEnds(record.deed, record.code ?? undefined, deadline),
    ...{ downstream: false, optional: false, mayBeUnsent: false },
  };
  return {
    ...{ record, shape: shapeOfRecord(record), request },
    calls: lines.map((line) => clientCall(record.id, line, shape, ports)),
    downstream: shape === 'refused' ? [] : lines.map((line) => downstreamCall(record.id, line, shape, ports)),
  };
}

function lineOf(text: string): Line {
  const [n = '', method = '', deed = '', outcome = ''] = text.split(' ');
  return { n, method, deed, code: outcome === 'cancelled' ? undefined : Number(outcome) };
}

function clientCall(id: string, line: Line, shape: string | undefined, ports: Ports): ExpectedRpc {
  return {
    ...{ side: 'client', id: `${id}/${line.n}`, method: line.method, downstream: false, optional: false },
    mayBeUnsent: isUncertain(line, shape),
    ends: clientEnds(line, shape),
    port: shape === 'refused' ? undefined : shape === 'lost' ? ports.relay : ports.downstream,
  };
}

function downstreamCall(id: string, line: Line, shape: string | undefined, ports: Ports): ExpectedRpc {
  const lost = shape === 'lost';
  const optional = isUncertain(line, shape);
  return {
    ...{ side: 'server', id: `${id}/${line.n}`, method: line.method, downstream: true, optional },
    mayBeUnsent: false,
    ends: lost ? [LOST] : serverEnds(line.deed, line.code, shape === 'deadline'),
    port: lost ? ports.relay : ports.downstream,
  };
}

/** A caller under load may give up before its connection has taken the call. */
const isUncertain = ({ code }: Line, shape: string | undefined) =>
  code === undefined || shape === 'deadline' || shape === 'refused' || shape === 'lost';

const LOST: RpcEnd = { error: 'connection_closed', reason: 'connection_closed' };

/** What a server says of a call: it knows no status of one that it has not ended itself. */
function serverEnds(deed: string, code: number | undefined, deadline: boolean): readonly RpcEnd[] {
  const name = deed.split(':')[0];
  if (name === 'panic') return [{ status: 'CANCELLED', error: 'panic', reason: 'panic' }];
  const left: RpcEnd = { status: 'CANCELLED', reason: 'cancelled' };
  if (code === undefined) return [left];
  // The server's own timer or its caller's, whichever is first. tonic's server answers CANCELLED.
  if (deadline) return [left, { status: 'CANCELLED' }, answered('DEADLINE_EXCEEDED', true)];
  return [answered(codeOf(deed, code), SERVER_ERRORS.has(codeOf(deed, code)))];
}

function clientEnds(line: Line, shape: string | undefined): readonly RpcEnd[] {
  if (shape === 'refused')
    return [{ reason: 'response_not_seen' }, failed('UNAVAILABLE', 'connection_refused')];
  if (shape === 'lost') return [failed('UNAVAILABLE', 'connection_closed'), { reason: 'response_not_seen' }];
  if (line.code === undefined || line.deed === 'panic') return [failed('CANCELLED', 'cancelled')];
  if (shape === 'deadline')
    return [
      failed('DEADLINE_EXCEEDED', 'timeout'),
      answered('CANCELLED', true),
      answered('DEADLINE_EXCEEDED', true),
    ];
  return [answered(codeOf(line.deed, line.code), line.code !== 0)];
}

/** What was asked for, when it is what came: else the comparison of the load's own truth has failed. */
function codeOf(deed: string, code: number): string {
  return CODES[code] ?? `${deed} ${code}`;
}

const answered = (status: string, error: boolean): RpcEnd => (error ? { status, error: status } : { status });
const failed = (status: string, reason: string): RpcEnd => ({ status, error: status, reason });

const DROPPED = /\.(?:cancel|leave)$/;
/**
 * By end of the kind: what the load's caller must have seen. What tonic 0.10 and 0.12 answer when the server's timer is
 * first has no content-type, which is UNKNOWN to grpc-go.
 */
const CODE_BY_KIND: Readonly<Record<string, readonly number[]>> = { panic: [1], deadline: [1, 2, 4] };

/** What is wrong with the load's own truth. */
export function loadProblem(record: GrpcRecord): string | undefined {
  const { kind, deed, code } = record;
  if (DROPPED.test(kind)) return code === null ? undefined : `the load's call was not dropped: code ${code}`;
  const wanted = CODE_BY_KIND[kind.split('.')[1] ?? ''] ?? [
    Number(/^(?:status|late):(\d+)$/.exec(deed)?.[1] ?? 0),
  ];
  if (code === null || !wanted.includes(code))
    return `the load saw code ${code} (${record.message}), not ${wanted.join(' or ')}`;
  const lines = record.calls.map(lineOf);
  const foreign = lines.find((line) => {
    const asked = /^(?:status|late):(\d+)$/.exec(line.deed)?.[1];
    if (asked !== undefined) return line.code !== Number(asked);
    return line.deed === 'ok' && line.code !== 0 && !kind.endsWith(':refused');
  });
  if (foreign) return `the program saw code ${foreign.code} of ${foreign.deed}`;
  return deed.startsWith('call') && lines.length === 0 ? 'the program made no call' : undefined;
}
