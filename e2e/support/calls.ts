import type { LoadRecord } from './load.ts';

/** How a call ends: with a status, with an `error.type`, or without being an error for this `otel_rust.end_reason`. */
export type CallEnd = { readonly status: number } | { readonly error: string } | { readonly reason: string };

/** A call that a program makes, and so a CLIENT span. */
export interface Call {
  readonly url: string;
  readonly method: string;
  readonly end: CallEnd;
  /** Attempts before this one. */
  readonly resends: number;
  /** It ends after the request that made it has been answered. */
  readonly outlives: boolean;
}

/** Calls of each shape in the program's own words: lines of its answer. */
const LINES: Readonly<Record<string, number>> = {
  ...{ one: 1, seq: 2, join: 3, spawn: 3, prespawn: 2, cross: 4, joinset: 3, nested: 3, blocking: 3 },
  ...{ local: 2, later: 0, post: 1, headers: 1, unread: 2, twin: 2, shareduri: 1, status: 1, select: 2 },
  ...{ timeout: 1, reqtimeout: 1, connecttimeout: 1, redirect: 1, refused: 1, dns: 1, tlsfail: 1 },
  ...{ reset: 1, close: 1, last: 2, stale: 3, thread: 1 },
};

/** Shapes whose calls all succeed at once. */
export const QUICK: readonly string[] = [
  ...['one', 'seq', 'join', 'spawn', 'prespawn', 'joinset', 'nested', 'blocking', 'local', 'later'],
  ...['post', 'headers', 'unread', 'cross'],
];

/** `error.type` of a call by shape, where the program itself knows only that it failed. */
const ERRORS: Readonly<Record<string, string>> = {
  refused: 'connection_refused',
  dns: 'name_resolution_error',
  tlsfail: 'tls_error',
  reset: 'connection_reset',
  close: 'connection_closed',
};

export const shapeOf = (record: LoadRecord) => record.target.split('/')[1] ?? '';

/** What is wrong with the program's own answer; undefined when it is as its shape wants it. */
export function answerProblem(record: LoadRecord): string | undefined {
  if (record.error !== null) return `the request failed: ${record.error}`;
  if (record.status !== 200) return `the program answered ${record.status}`;
  const shape = shapeOf(record);
  const lines = linesOf(record);
  if (lines.length !== LINES[shape]) return `the program made ${lines.length} calls, not ${LINES[shape]}`;
  const foreign = lines.find(({ url }) => shape !== 'shareduri' && !url.includes(`/d/${record.id}/`));
  return foreign && `the program called ${foreign.url}`;
}

interface Line {
  readonly url: string;
  readonly outcome: string;
}

function linesOf(record: LoadRecord): Line[] {
  const lines = (record.answer ?? '').split('\n').filter((line) => line !== '');
  return lines.map((line) => {
    const [, url = '', outcome = ''] = line.split(' ');
    return { url, outcome };
  });
}

/** The calls of one request; `base`: of the downstream, for those that its answer can't tell. */
export function callsOf(record: LoadRecord, base: string): Call[] {
  const shape = shapeOf(record);
  const call = (path: string, end: CallEnd, more: Partial<Call> = {}): Call => ({
    ...{ url: `${base}/d/${record.id}/${path}`, method: 'GET', end, resends: 0, outlives: false },
    ...more,
  });
  if (shape === 'later') return [0, 1].map((n) => call(`${n}`, { status: 200 }, { outlives: true }));
  if (shape === 'redirect')
    return [
      call('0/redirect/2', { status: 302 }),
      call('1/redirect/1', { status: 302 }, { resends: 1 }),
      call('2', { status: 200 }, { resends: 2 }),
    ];
  const method = shape === 'post' ? 'POST' : 'GET';
  return linesOf(record).map(({ url, outcome }) => call('', endOf(shape, outcome), { url, method }));
}

function endOf(shape: string, outcome: string): CallEnd {
  if (/^\d+$/.test(outcome)) return { status: Number(outcome) };
  if (outcome === 'cancelled') return { reason: 'cancelled' };
  return { error: ERRORS[shape] ?? outcome };
}
