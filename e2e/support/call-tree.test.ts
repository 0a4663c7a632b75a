import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareTree, type Edges } from './call-tree.ts';
import type { LoadRecord } from './load.ts';
import type { Attributes, Span } from './otlp.ts';

const BASE = 'http://127.0.0.1:8080';
const NO_EDGES: Edges = { right: 0, wrong: 0, unknown: 0, missing: 0, extra: 0 };

function record(id: string, shape: string, lines: readonly string[]): LoadRecord {
  return {
    ...{ id, kind: 'call', method: 'GET', target: `/${shape}/${id}`, version: '1.1', host: '' },
    ...{ userAgent: null, traceparent: null, spans: 'one', client: '', status: 200, route: null },
    ...{ error: null, startNs: '0', endNs: '0', answer: lines.join('\n') },
  };
}

const called = (id: string, n: number, outcome = '200') => `${n} ${BASE}/d/${id}/${n} ${outcome}`;

function span(kind: number, spanId: string, parent: string, attributes: Attributes): Span {
  return {
    ...{ traceId: 't', spanId, parentSpanId: parent, traceState: '', flags: 1, name: 'GET', kind },
    ...{ startNs: 0n, endNs: 0n, statusCode: 0, statusMessage: '', attributes, events: [] },
    ...{ resource: {}, scope: { name: '', version: '' } },
  };
}

const server = (id: string, shape: string) =>
  span(2, `s${id}`, '', { 'url.path': `/${shape}/${id}`, 'http.response.status_code': 200 });

const client = (id: string, n: number, parent: string, more: Attributes = {}) =>
  span(3, `c${id}${n}`, parent, {
    ...{ 'url.full': `${BASE}/d/${id}/${n}`, 'http.request.method': 'GET', 'server.port': 8080 },
    ...{ 'server.address': '127.0.0.1', 'http.response.status_code': 200 },
    ...more,
  });

function edgesOf(spans: readonly Span[], records: readonly LoadRecord[]): [Edges, number] {
  const { edges, problems } = compareTree(spans, records, { base: BASE });
  return [edges, problems.length];
}

const TWO = [record('a', 'seq', [called('a', 0), called('a', 1)]), record('b', 'one', [called('b', 0)])];
const SERVERS = [server('a', 'seq'), server('b', 'one')];

test('right edges are no problem', () => {
  const spans = [...SERVERS, client('a', 0, 'sa'), client('a', 1, 'sa'), client('b', 0, 'sb')];
  assert.deepEqual(edgesOf(spans, TWO), [{ ...NO_EDGES, right: 3 }, 0]);
});

test('a parent of another request, none, and a missing span are told apart', () => {
  const spans = [...SERVERS, client('a', 0, 'sb'), client('b', 0, '')];
  assert.deepEqual(edgesOf(spans, TWO), [{ ...NO_EDGES, wrong: 1, unknown: 1, missing: 1 }, 3]);
});

test('a second span of one call and a span of no call are extra', () => {
  const all = [client('a', 0, 'sa'), client('a', 1, 'sa'), client('b', 0, 'sb')];
  const spans = [...SERVERS, ...all, { ...client('b', 0, 'sb'), spanId: 'x' }, client('c', 0, '')];
  assert.deepEqual(edgesOf(spans, TWO), [{ ...NO_EDGES, right: 4, extra: 2 }, 2]);
});

test('a call that was cancelled is no error and has no status', () => {
  const records = [record('a', 'timeout', [called('a', 0, 'cancelled')])];
  const wrong = [server('a', 'timeout'), client('a', 0, 'sa')];
  assert.equal(edgesOf(wrong, records)[1], 2);
});

test('a program that forgets a call, or a request without span, is a problem', () => {
  assert.equal(edgesOf([], [record('a', 'later', [])])[1], 3);
  assert.equal(edgesOf([server('a', 'one')], [record('a', 'one', [])])[1], 1);
});
