import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StreamEvent, StreamHeader } from '../events/events.ts';
import { CALL_SCHEME } from '../events/layout.ts';
import { attribute, attributes, call, ended, SECOND } from './test-support/client-events.ts';
import {
  ADDRESS,
  type More,
  reset,
  response,
  rpcResponse,
  sent,
  sentRpc,
  startStreams,
  streamsClosed,
  trailers,
} from './test-support/stream-events.ts';

const CLIENT: More = { client: true };
const PEER: More = { client: true, peerAddress: '10.0.0.9', peerPort: 8080, socket: 4 };
const channel = call({
  channel: true,
  method: 2,
  scheme: CALL_SCHEME.NONE,
  authority: '',
  path: '/stock.Stock/Reserve',
});

test("a call that reqwest's HTTP/2 connection carries", () => {
  const { streams, client, spans } = startStreams();
  client.call(call());
  streams.stream(sent({ call: 10, path: '/items?id=1' }));
  assert.equal(client.openCount, 0);
  streams.stream(response(404, PEER));
  client.callEnd(ended());
  const [span] = spans;
  assert.equal(spans.length, 1);
  assert.deepEqual(attributes(span), {
    'http.request.method': 'GET',
    'server.address': 'stock.example',
    'server.port': 8080,
    'url.full': 'http://stock.example:8080/items?id=1',
    'http.response.status_code': 404,
    'error.type': '404',
    'network.peer.address': '10.0.0.9',
    'network.peer.port': 8080,
    'network.protocol.version': '2',
  });
  const { name, kind, scope, status, traceId3, spanId1, parentId1 } = span ?? {};
  assert.deepEqual([name, kind, scope?.name, status], ['GET', 2, 'reqwest', 2]);
  assert.deepEqual([traceId3, spanId1, parentId1], [4, 6, 8]);
  assert.deepEqual([span?.startUnixSeconds, span?.endUnixSeconds, span?.parentIsRemote], [1002, 1004, false]);
});

test("a call through tonic's channel: from the call on, with the target of its stream", () => {
  const { streams, client, spans } = startStreams();
  client.call(channel);
  streams.stream(sentRpc({ call: 10 }));
  streams.stream(rpcResponse(PEER));
  streams.stream(trailers('0', CLIENT));
  client.callEnd(ended());
  const [span] = spans;
  assert.equal(spans.length, 1);
  assert.deepEqual(attributes(span), {
    'rpc.system.name': 'grpc',
    'rpc.method': 'stock.Stock/Reserve',
    'rpc.response.status_code': 'OK',
    'server.address': 'stock.example',
    'server.port': 8080,
    'network.peer.address': '10.0.0.9',
    'network.peer.port': 8080,
  });
  const { name, kind, scope, status, spanId1, parentId1 } = span ?? {};
  assert.deepEqual([name, kind, scope?.name, status], ['stock.Stock/Reserve', 2, 'tonic', 0]);
  assert.deepEqual([spanId1, parentId1], [6, 8]);
  assert.deepEqual([span?.startUnixSeconds, span?.endUnixSeconds], [1002, 1005]);
});

test('a channel call that no stream carries: nothing tells how it ended', () => {
  const { client, spans } = startStreams();
  client.call(channel);
  client.callEnd(ended({ state: 0 }));
  assert.deepEqual(attributes(spans[0]), {
    'rpc.system.name': 'grpc',
    'rpc.method': 'stock.Stock/Reserve',
    'otel_rust.end_reason': 'response_not_seen',
  });
  assert.deepEqual([spans[0]?.name, spans[0]?.status], ['stock.Stock/Reserve', 0]);
});

test('a request of no known call is a span of its own; a call told too late is none', () => {
  const { streams, client, spans } = startStreams();
  streams.stream(sent());
  streams.stream(response(302, CLIENT));
  streams.stream(sentRpc({ call: 10, sequence: 3, timeNs: 7 * SECOND }));
  client.call(channel);
  streams.stream(trailers('0', { client: true, sequence: 3, timeNs: 8 * SECOND }));
  client.stop(9 * SECOND);
  const [http, rpc] = spans;
  assert.equal(spans.length, 2);
  assert.deepEqual([http?.scope.name, http?.spanId1, http?.parentId1, http?.status], ['h2', 16, 18, 0]);
  assert.equal(attribute(http, 'url.full'), 'http://stock.example:8080/items');
  assert.deepEqual([rpc?.spanId1, rpc?.startUnixSeconds], [16, 1007]);
});

/** What an RPC tells that these end: gRPC status, error, reason, span status, message. */
function rpcEnding(more: More, ...events: readonly StreamEvent[]) {
  return outcome(sentRpc(more), events);
}

function outcome(request: StreamEvent, events: readonly StreamEvent[]) {
  const { streams, spans } = startStreams();
  streams.stream(request);
  for (const event of events) streams.stream(event);
  const [span] = spans;
  assert.equal(spans.length, 1);
  return [
    attribute(span, request.methodTag === 2 ? 'rpc.response.status_code' : 'http.response.status_code'),
    attribute(span, 'error.type'),
    attribute(span, 'otel_rust.end_reason'),
    span?.status,
    span?.statusMessage,
  ];
}

test('every status but OK is an error of the client', () => {
  for (let code = 1; code <= 17; code++)
    assert.equal(rpcEnding({}, trailers(`${code}`, CLIENT))[3], 2, `${code}`);
  const headers: readonly StreamHeader[] = [
    ['grpc-status', '5'],
    ['grpc-message', 'no such item'],
  ];
  const expected = ['NOT_FOUND', 'NOT_FOUND', undefined, 2, 'no such item'];
  assert.deepEqual(rpcEnding({}, rpcResponse({ client: true, headers })), expected);
});

test('an answer that is not gRPC gives a status by its HTTP status', () => {
  for (const [status, name] of [
    [404, 'UNIMPLEMENTED'],
    [401, 'UNAUTHENTICATED'],
    [403, 'PERMISSION_DENIED'],
    [400, 'INTERNAL'],
    [429, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
    [418, 'UNKNOWN'],
  ] as const)
    assert.deepEqual(rpcEnding({}, response(status, CLIENT)).slice(0, 4), [name, name, undefined, 2]);
  const html = response(200, { client: true, headers: [['content-type', 'text/html']] });
  assert.equal(rpcEnding({}, html)[0], 'UNKNOWN');
});

test('trailers without a status; with headers that had no room', () => {
  const bare = trailers('', { client: true, headers: [] });
  assert.equal(rpcEnding({}, rpcResponse(CLIENT), bare)[0], 'UNKNOWN');
  const cut = [undefined, undefined, 'status_not_seen', 0, undefined];
  assert.deepEqual(rpcEnding({}, { ...bare, cut: true }), cut);
});

test("the request's own trailers end nothing", () => {
  assert.equal(rpcEnding({}, trailers('', { headers: [] }), trailers('0', CLIENT))[0], 'OK');
});

test('resets give a status', () => {
  for (const [reason, name, why] of [
    [0, 'INTERNAL', 'reset'],
    [1, 'INTERNAL', 'reset'],
    [7, 'UNAVAILABLE', 'reset'],
    [8, 'CANCELLED', 'cancelled'],
    [11, 'RESOURCE_EXHAUSTED', 'reset'],
    [12, 'PERMISSION_DENIED', 'reset'],
    [1234, 'INTERNAL', 'reset'],
  ] as const)
    assert.deepEqual(rpcEnding({}, reset(reason)).slice(0, 4), [name, name, why, 2]);
});

test('a deadline that has passed when the call is cancelled', () => {
  const timeout = (value: string) =>
    rpcEnding({ headers: [...sentRpc().headers, ['grpc-timeout', value]] }, reset(8, { local: true }));
  const passed = ['DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED', 'timeout', 2, 'the deadline has passed'];
  for (const value of ['2S', '2000m', '2000000u', '1n', '1m'])
    assert.deepEqual(timeout(value), passed, value);
  for (const value of ['3S', '1H', '1M', '2', 'S', '-1S', '123456789S', '2s'])
    assert.equal(timeout(value)[0], 'CANCELLED', value);
});

test('HTTP: cancelled by its caller, reset by others, lost', () => {
  const http = (event: StreamEvent) => outcome(sent(), [event]);
  assert.deepEqual(http(reset(8, { local: true })), [undefined, undefined, 'cancelled', 0, undefined]);
  assert.deepEqual(http(reset(8)).slice(1, 4), ['CANCEL', 'reset', 2]);
  assert.deepEqual(http(reset(7)).slice(1, 4), ['REFUSED_STREAM', 'reset', 2]);
  assert.deepEqual(http(reset(1, { local: true })).slice(1, 4), ['PROTOCOL_ERROR', 'reset', 2]);
  assert.deepEqual(http(streamsClosed()).slice(1, 4), ['connection_closed', 'connection_closed', 2]);
});

test('gRPC: the connection is lost', () => {
  assert.deepEqual(rpcEnding({}, rpcResponse(CLIENT), streamsClosed()).slice(0, 4), [
    'UNAVAILABLE',
    'UNAVAILABLE',
    'connection_closed',
    2,
  ]);
});

test('redirects over HTTP/2 are counted', () => {
  const { streams, client, spans } = startStreams();
  client.call(call());
  streams.stream(sent({ call: 10 }));
  streams.stream(response(302, { client: true, headers: [['location', '/b']] }));
  client.call(call({ connection: 11, path: '/b', timeNs: 5 * SECOND }));
  streams.stream(sent({ call: 11, sequence: 3, timeNs: 5 * SECOND, path: '/b' }));
  streams.stream(response(200, { client: true, sequence: 3, timeNs: 6 * SECOND }));
  assert.deepEqual(
    spans.map((span) => attribute(span, 'http.request.resend_count')),
    [undefined, 1],
  );
});

test('targets: default ports, credentials, CONNECT, a path without its end', () => {
  const { streams, spans } = startStreams();
  const one = (more: More) => {
    streams.stream(sent({ connection: ADDRESS + spans.length * 64, ...more }));
    streams.stream(response(200, { client: true, connection: ADDRESS + spans.length * 64 }));
    return spans.at(-1);
  };
  const plain = one({ scheme: 'https', authority: 'a.example' });
  assert.deepEqual(
    [attribute(plain, 'server.port'), attribute(plain, 'url.full')],
    [443, 'https://a.example/items'],
  );
  const tunnel = one({ methodTag: 7, scheme: undefined, path: undefined, authority: 'b.example:443' });
  assert.deepEqual([tunnel?.name, attribute(tunnel, 'server.port')], ['CONNECT', 443]);
  const strange = one({ methodTag: 9, method: 'REPORT' });
  assert.deepEqual([strange?.name, attribute(strange, 'http.request.method_original')], ['HTTP', 'REPORT']);
  const unread = one({ methodTag: 9 });
  assert.deepEqual(
    [attribute(unread, 'http.request.method'), attribute(unread, 'http.request.method_original')],
    ['_OTHER', undefined],
  );
  one({ cutTarget: true });
  assert.equal(streams.losses.cutUrls, 1);
});
