import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  attribute,
  attributes,
  CONTEXT,
  call,
  closed,
  ended,
  GET,
  response,
  SECOND,
  startClient,
  wire,
  written,
} from './test-support/client-events.ts';

const NO_LOSSES = {
  malformedHeads: 0,
  requestsWithoutCall: 0,
  unmatchedResponses: 0,
  unknownProcess: 0,
  openLimit: 0,
  cutUrls: 0,
};

const endReason = (span: Parameters<typeof attribute>[0]) => attribute(span, 'otel_rust.end_reason');

test('a call, its request and its response are a span', () => {
  const { client, spans } = startClient();
  client.call(call());
  client.request(written());
  assert.equal(client.openCount, 1);
  client.response(response(200));
  const [span] = spans;
  assert(span && spans.length === 1);
  assert.deepEqual([span.name, span.kind, span.status, span.statusMessage], ['GET', 2, 0, undefined]);
  assert.deepEqual([span.startUnixSeconds, span.endUnixSeconds], [1002, 1004]);
  assert.deepEqual([span.traceId0, span.traceId3, span.spanId0, span.spanId1], [1, 4, 5, 6]);
  assert.deepEqual([span.parentId0, span.parentId1, span.parentIsRemote, span.traceFlags], [7, 8, false, 1]);
  assert.deepEqual([span.process, span.scope], [CONTEXT.process, CONTEXT.callScope]);
  assert.deepEqual(attributes(span), {
    'http.request.method': 'GET',
    'server.address': 'stock.example',
    'server.port': 8080,
    'url.full': 'http://stock.example:8080/items?id=1',
    'http.response.status_code': 200,
    'network.peer.address': '10.0.0.9',
    'network.peer.port': 8080,
    'network.protocol.version': '1.1',
  });
  assert.equal(client.openCount, 0);
  assert.deepEqual({ ...client.losses }, NO_LOSSES);
});

test("a request with a context of its program's own takes part in that trace", () => {
  const { client, spans } = startClient();
  const own = { traceId0: 21, traceId1: 22, traceId2: 23, traceId3: 24, parentId0: 27, parentId1: 28 };
  client.call(call());
  client.request(written({ ...own, ownContext: true }));
  client.response(response(200));
  const [span] = spans;
  assert(span);
  assert.deepEqual([span.traceId0, span.traceId1, span.traceId2, span.traceId3], [21, 22, 23, 24]);
  assert.deepEqual([span.spanId0, span.spanId1, span.parentId0, span.parentId1], [5, 6, 27, 28]);
});

test('under TLS the response may tell the peer', () => {
  const { client, spans } = startClient();
  client.call(call({ scheme: 2, authority: 'stock.example' }));
  client.request(written({ source: 'library', tls: true, peerAddress: undefined, peerPort: 0 }));
  client.response(response(200, { peerAddress: '10.0.0.8', peerPort: 443 }));
  const found = attributes(spans[0]);
  assert.equal(found['url.full'], 'https://stock.example/items?id=1');
  assert.deepEqual([found['server.port'], found['network.peer.address']], [443, '10.0.0.8']);
});

test('a request without a call is made of its head', () => {
  const { client, spans } = startClient({ captureRequest: new Set(['x-a']) });
  client.request(wire());
  client.response(response(204, { call: 0 }));
  const [span] = spans;
  assert(span);
  assert.equal(span.scope, CONTEXT.wireScope);
  assert.deepEqual([span.startUnixSeconds, span.parentId1], [1003, 8]);
  assert.deepEqual(attributes(span), {
    'http.request.method': 'GET',
    'server.address': 'a.example',
    'server.port': 80,
    'url.full': 'http://a.example/a?b=c',
    'http.response.status_code': 204,
    'network.peer.address': '10.0.0.9',
    'network.peer.port': 8080,
    'network.protocol.version': '1.1',
    'http.request.header.x-a': ['1'],
  });
});

test('status: 4xx and 5xx are errors, nothing below', () => {
  const { client, spans } = startClient();
  for (const [i, status] of [101, 204, 302, 399, 400, 404, 500, 599].entries()) {
    client.call(call({ connection: i + 1 }));
    client.response(response(status, { call: i + 1 }));
  }
  assert.deepEqual(
    spans.map((span) => [span.status, attribute(span, 'error.type')]),
    [...Array(4).fill([0, undefined]), [2, '400'], [2, '404'], [2, '500'], [2, '599']],
  );
});

test('methods: by tag, by head, unknown', () => {
  const { client, spans } = startClient();
  const head = (method: string) => GET.replace('GET', method);
  const cases = [
    [0, ''],
    [2, ''],
    [8, ''],
    [9, head('BREW')],
    [9, head('QUERY')],
    [10, ''],
  ] as const;
  for (const [i, [method, text]] of cases.entries()) {
    client.call(call({ connection: i + 1, method }));
    client.request(written({ socket: i + 1, head: text }));
    client.response(response(200, { call: i + 1 }));
  }
  assert.deepEqual(
    spans.map((span) => [
      span.name,
      attribute(span, 'http.request.method'),
      attribute(span, 'http.request.method_original'),
    ]),
    [
      ['OPTIONS', 'OPTIONS', undefined],
      ['POST', 'POST', undefined],
      ['PATCH', 'PATCH', undefined],
      ['HTTP', '_OTHER', 'BREW'],
      ['QUERY', 'QUERY', undefined],
      ['HTTP', '_OTHER', undefined],
    ],
  );
});

test('a written call that is sent again: a span an attempt', () => {
  const { client, spans } = startClient();
  client.call(call());
  client.request(written());
  client.closed(closed({ timeNs: 3.5 * SECOND, error: 104 }));
  client.request(
    written({ resend: true, connection: 2, startNs: 4 * SECOND, spanId0: 50, spanId1: 60, peerPort: 81 }),
  );
  client.closed(closed()); // of the first connection: no news of the second attempt
  client.response(response(200, { connection: 2, timeNs: 5 * SECOND }));
  assert.deepEqual(
    spans.map((span) => [
      span.spanId1,
      span.parentId1,
      span.startUnixSeconds,
      span.endUnixSeconds,
      span.status,
      attribute(span, 'error.type'),
      attribute(span, 'http.request.resend_count'),
      attribute(span, 'network.peer.port'),
    ]),
    [
      [6, 8, 1002, 1004, 2, 'connection_reset', undefined, 8080],
      [60, 8, 1004, 1005, 0, undefined, 1, 81],
    ],
  );
  assert.equal(client.openCount, 0);
});

test('a redirect that the same task follows is a resend', () => {
  const { client, spans } = startClient();
  const moved = (location: string) => `HTTP/1.1 302 Found\r\nLocation: ${location}\r\n\r\n`;
  const visit = (number: number, authority: string, path: string, location?: string, task = 7) => {
    client.call(call({ connection: number, authority, path, task }));
    const more = location === undefined ? {} : { head: moved(location) };
    client.response(
      response(location === undefined ? 200 : 302, { call: number, task: 99, tid: 99, ...more }),
    );
  };
  visit(1, 'a.example', '/x/y', '../z?q=1#f');
  visit(2, 'a.example', '/z?q=1', 'http://B.example/');
  visit(3, 'b.example', '/');
  visit(4, 'b.example', '/');
  visit(5, 'a.example', '/', '/other');
  visit(6, 'a.example', '/elsewhere');
  visit(7, 'a.example', '/', '/task', 8);
  visit(8, 'a.example', '/task', undefined, 9);
  assert.deepEqual(
    spans.map((span) => attribute(span, 'http.request.resend_count')),
    [undefined, 1, 2, undefined, undefined, undefined, undefined, undefined],
  );
});

test('why a call had no response', () => {
  const table = [
    [{ state: 2 }, 'cancelled', false],
    [{ state: 2, givenUp: true }, 'timeout', true],
    [{ connects: 1, connectError: 111, connectPort: 8080 }, 'connection_refused', true],
    [{ connects: 1, connectError: 111, connectPort: 80 }, 'response_not_seen', false],
    [{ connects: 2, connectError: 110 }, 'timeout', true],
    [{ connects: 1, connectError: 999 }, 'connection_failed', true],
    [{ connects: 1 }, 'timeout', true],
    [{ connects: 1, established: 1 }, 'response_not_seen', false],
    [{ spawned: true }, 'name_resolution_error', true],
    [{}, 'response_not_seen', false],
    [{ state: 0 }, 'response_not_seen', false],
    [{ state: 0, givenUp: true }, 'timeout', true],
    [{ state: 0, connects: 1, connectError: 111 }, 'connection_refused', true],
  ] as const;
  for (const [end, reason, failed] of table) {
    const { client, spans } = startClient();
    client.call(call());
    client.callEnd(ended(end));
    const [span] = spans;
    assert.deepEqual(
      [endReason(span), attribute(span, 'error.type'), span?.status, span?.endUnixSeconds],
      [reason, failed ? reason : undefined, failed ? 2 : 0, 1006],
    );
    assert.equal(span?.statusMessage !== undefined, failed);
    assert.equal(attribute(span, 'http.response.status_code'), undefined);
    assert.equal(client.openCount, 0);
  }
});

test('TLS, addresses instead of names, and connections that closed are evidence', () => {
  const { client, spans } = startClient();
  const established = { connects: 1, established: 1 };
  client.call(call({ scheme: 2 }));
  client.callEnd(ended(established));
  client.call(call({ connection: 11, authority: '[::1]:80' }));
  client.callEnd(ended({ connection: 11, spawned: true }));
  for (const [number, error] of [
    [12, 0],
    [13, 104],
  ] as const) {
    client.call(call({ connection: number }));
    client.request(written({ socket: number, connection: number }));
    client.closed(closed({ call: number, connection: number, error }));
    client.callEnd(ended({ connection: number, written: true, ...established }));
  }
  assert.deepEqual(spans.map(endReason), [
    'tls_error',
    'response_not_seen',
    'connection_closed',
    'connection_reset',
  ]);
});

test('a call that returns may hear of its connection a little later', () => {
  const { client, spans } = startClient();
  const life = (number: number) => {
    client.call(call({ connection: number }));
    client.request(written({ socket: number, connection: number }));
    client.callEnd(ended({ connection: number, written: true }));
  };
  for (const number of [20, 21, 22, 23]) life(number);
  client.closed(closed({ timeNs: 6.1 * SECOND, call: 20, connection: 20 }));
  client.expire(6.9 * SECOND);
  assert.equal(client.openCount, 3);
  client.response(response(200, { call: 21, connection: 21, timeNs: 6.95 * SECOND }));
  client.expire(7 * SECOND);
  life(24);
  client.processEnded(1, 7 * SECOND);
  assert.deepEqual(
    spans.map((span) => [endReason(span), span.status, span.endUnixSeconds]),
    [['connection_closed', 2, 1006], [undefined, 0, 1006], ...Array(3).fill(['response_not_seen', 0, 1006])],
  );
  assert.equal(client.openCount, 0);
});

test('why a request without a call had no response', () => {
  const table = [
    [{}, 'connection_closed', true],
    [{ error: 104 }, 'connection_reset', true],
    [{ error: 110 }, 'timeout', true],
    [{ error: 5000 }, 'connection_failed', true],
    [{ exiting: true }, 'process_exit', true],
    [{ lost: true }, 'connection_lost', false],
  ] as const;
  for (const [end, reason, failed] of table) {
    const { client, spans } = startClient();
    client.request(wire());
    client.closed(closed({ call: 0, ...end }));
    client.expire(9 * SECOND);
    assert.deepEqual([endReason(spans[0]), spans[0]?.status], [reason, failed ? 2 : 0]);
    assert.equal(client.openCount, 0);
  }
});

test('a response is read behind the end of its connection', () => {
  const { client, spans } = startClient();
  client.request(wire());
  client.closed(closed({ call: 0, error: 104 }));
  client.response(response(413, { call: 0 }));
  client.expire(9 * SECOND);
  assert.deepEqual(
    spans.map((span) => [attribute(span, 'http.response.status_code'), endReason(span)]),
    [[413, undefined]],
  );
  assert.equal(client.losses.unmatchedResponses, 0);
});

test('what is open ends with its process, its time and the agent', () => {
  const { client, spans } = startClient();
  const open = () => {
    client.call(call({ connection: 100 + spans.length }));
    client.request(wire({ sequence: spans.length }));
  };
  open();
  client.processEnded(2, 5 * SECOND);
  client.expire(61 * SECOND);
  assert.equal(spans.length, 0);
  client.processEnded(1, 5 * SECOND);
  open();
  client.expire(62 * SECOND);
  client.expire(63 * SECOND);
  open();
  client.stop(5 * SECOND);
  assert.deepEqual(
    spans.map((span) => [endReason(span), span.status]),
    [
      ...Array(2).fill(['process_exit', 2]),
      ...Array(2).fill(['timeout', 2]),
      ...Array(2).fill(['agent_stopped', 0]),
    ],
  );
  assert.equal(client.openCount, 0);
});

test('a call whose beginning was lost: its head tells, else it is counted', () => {
  const { client, spans } = startClient();
  client.request(written({ head: GET }));
  client.call(call()); // late: its span is there already
  client.response(response(200));
  client.request(written({ socket: 11 }));
  client.response(response(200, { call: 11 }));
  client.callEnd(ended({ connection: 12 }));
  assert.deepEqual(
    spans.map((span) => [attribute(span, 'url.full'), span.scope.name]),
    [['http://a.example/a?b=c', 'reqwest']],
  );
  assert.deepEqual({ ...client.losses }, { ...NO_LOSSES, requestsWithoutCall: 1 });
});

test('one span a call, whatever comes late', () => {
  const { client, spans } = startClient();
  client.call(call());
  client.response(response(200));
  client.response(response(200));
  client.call(call());
  client.request(written({ head: GET }));
  client.callEnd(ended());
  assert.equal(spans.length, 1);
  assert.equal(client.openCount, 0);
  assert.deepEqual({ ...client.losses }, NO_LOSSES);
});

test('losses are counted', () => {
  const { client, spans } = startClient();
  client.response(response(200));
  client.response(response(200, { call: 0 }));
  client.request(wire({ head: 'nonsense' }));
  client.response(response(200, { call: 0 }));
  client.call(call({ pid: 2, connection: 20 }));
  client.response(response(200, { call: 20 }));
  client.call(call({ cut: true }));
  client.response(response(200));
  assert.deepEqual(
    { ...client.losses },
    { ...NO_LOSSES, unmatchedResponses: 2, malformedHeads: 1, unknownProcess: 1, cutUrls: 1 },
  );
  assert.equal(spans.length, 1);
});

test('a URL that the record cut is completed by the head', () => {
  const { client, spans } = startClient();
  const path = `/${'a'.repeat(2000)}`;
  client.call(call({ path: path.slice(0, 1024), cut: true }));
  client.request(written({ head: `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n` }));
  client.response(response(200));
  assert.equal(attribute(spans[0], 'url.full'), `http://stock.example:8080${path}`);
  assert.equal(client.losses.cutUrls, 0);
  client.request(wire({ head: `GET ${path}`, headSize: 9000 }));
  client.response(response(200, { call: 0 }));
  assert.equal(attribute(spans[1], 'url.full'), undefined);
  assert.equal(client.losses.cutUrls, 1);
});

test('headers, when asked for', () => {
  const { client, spans } = startClient({
    captureRequest: new Set(['x-a']),
    captureResponse: new Set(['x-b']),
  });
  client.call(call());
  client.request(written({ head: GET }));
  client.response(response(200, { head: 'HTTP/1.1 200 OK\r\nX-B: 2\r\nX-C: 3\r\n\r\n' }));
  const found = attributes(spans[0]);
  assert.deepEqual([found['http.request.header.x-a'], found['http.response.header.x-b']], [['1'], ['2']]);
  assert.equal(found['http.response.header.x-c'], undefined);
});

test('open requests are bounded, and what is beyond is counted', () => {
  const { client, spans } = startClient();
  for (let number = 1; number <= 50_001; number++) client.call(call({ connection: number }));
  assert.deepEqual([client.openCount, client.losses.openLimit], [50_000, 1]);
  client.response(response(200, { call: 50_001 }));
  client.callEnd(ended({ connection: 50_001 }));
  assert.deepEqual([spans.length, client.losses.unmatchedResponses], [0, 0]);
});
