import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attributeKey } from '../base/attribute-key.ts';
import type { EventHeader, StreamEvent } from '../events/events.ts';
import { attribute, attributes, SECOND } from './test-support/client-events.ts';
import {
  received,
  receivedRpc,
  reset,
  response,
  rpcResponse,
  startStreams,
  streamsClosed,
  trailers,
} from './test-support/stream-events.ts';

test('an HTTP request over HTTP/2', () => {
  const { streams, spans } = startStreams();
  streams.stream(received());
  assert.equal(streams.openCount, 1);
  streams.stream(response(200, { routes: ['/items/{id}'] }));
  streams.stream(trailers('0'));
  streams.stream(reset(0));
  assert.equal(streams.openCount, 0);
  const [span] = spans;
  assert.equal(spans.length, 1);
  assert.deepEqual(attributes(span), {
    'http.request.method': 'GET',
    'url.path': '/items/7',
    'url.scheme': 'http',
    'url.query': 'q=1',
    'network.protocol.version': '2',
    'server.address': 'shop.example',
    'server.port': 8080,
    'client.address': '10.0.0.5',
    'network.peer.address': '10.0.0.5',
    'network.peer.port': 40_000,
    'user_agent.original': 'curl/8',
    'http.route': '/items/{id}',
    'http.response.status_code': 200,
  });
  const { name, kind, scope, status, events } = span ?? {};
  assert.deepEqual([name, kind, scope?.name, status, events], ['GET /items/{id}', 1, 'h2', 0, undefined]);
  assert.deepEqual(
    [span?.startUnixSeconds, span?.endUnixSeconds, span?.parentIsRemote, span?.parentId1],
    [1002, 1004, true, 18],
  );
});

test('a gRPC call is one RPC span, from its request to its trailers', () => {
  const { streams, spans } = startStreams();
  streams.stream(receivedRpc());
  streams.stream(rpcResponse());
  assert.equal(streams.openCount, 1);
  streams.stream(trailers('0'));
  const [span] = spans;
  assert.equal(spans.length, 1);
  assert.deepEqual(attributes(span), {
    'rpc.system.name': 'grpc',
    'rpc.method': 'shop.Shop/Checkout',
    'rpc.response.status_code': 'OK',
    'server.address': 'shop.example',
    'server.port': 8080,
    'network.peer.address': '10.0.0.5',
    'network.peer.port': 40_000,
  });
  const { name, kind, scope, status } = span ?? {};
  assert.deepEqual([name, kind, scope?.name, status], ['shop.Shop/Checkout', 1, 'tonic', 0]);
  assert.deepEqual([span?.startUnixSeconds, span?.endUnixSeconds], [1002, 1005]);
});

/** What the span of a call with these events tells: gRPC status, error, reason, span status, message. */
function ending(...events: readonly StreamEvent[]) {
  const { streams, spans } = startStreams();
  streams.stream(receivedRpc());
  for (const event of events) streams.stream(event);
  const [span] = spans;
  assert.equal(spans.length, 1);
  return [
    attribute(span, 'rpc.response.status_code'),
    attribute(span, 'error.type'),
    attribute(span, 'otel_rust.end_reason'),
    span?.status,
    span?.statusMessage,
  ];
}

test('trailers alone, with a message', () => {
  const headers = [
    ['content-type', 'application/grpc'],
    ['grpc-status', '13'],
    ['grpc-message', 'no%20stock%3a%20%C3%A9%zz'],
  ] as const;
  const expected = ['INTERNAL', 'INTERNAL', undefined, 2, 'no stock: é%zz'];
  assert.deepEqual(ending(response(200, { headers })), expected);
});

test("statuses that are the caller's doing are no errors of the server", () => {
  const server = ['2', '4', '12', '13', '14', '15', '99'];
  const caller = ['0', '1', '3', '5', '6', '7', '8', '9', '10', '11', '16'];
  for (const code of server) assert.equal(ending(trailers(code))[3], 2, code);
  for (const code of caller) assert.equal(ending(trailers(code))[3], 0, code);
  assert.deepEqual(ending(trailers('99')), ['99', '99', undefined, 2, undefined]);
  assert.deepEqual(ending(trailers('x')), ['UNKNOWN', 'UNKNOWN', undefined, 2, undefined]);
});

test('answered without a status: unknown', () => {
  const headers = [['content-type', 'text/plain']] as const;
  assert.deepEqual(ending(response(404, { headers })), [
    undefined,
    undefined,
    'status_not_seen',
    0,
    undefined,
  ]);
  assert.deepEqual(ending(response(502)), [undefined, '502', 'status_not_seen', 2, undefined]);
  assert.deepEqual(ending(trailers('', { headers: [] })), [
    undefined,
    undefined,
    'status_not_seen',
    0,
    undefined,
  ]);
});

test("the request's trailers end nothing", () => {
  assert.deepEqual(ending(trailers('5', { client: true }), trailers('0'))[0], 'OK');
});

test('resets', () => {
  const text = 'the stream was reset: INTERNAL_ERROR';
  assert.deepEqual(ending(reset(2)), ['INTERNAL', 'INTERNAL', 'reset', 2, text]);
  assert.deepEqual(ending(reset(8)), ['CANCELLED', undefined, 'cancelled', 0, undefined]);
  assert.deepEqual(ending(reset(8, { local: true })), ['CANCELLED', undefined, 'cancelled', 0, undefined]);
});

test('a connection that ends with a call open', () => {
  const expected = [undefined, 'connection_closed', 'connection_closed', 2];
  assert.deepEqual(ending(streamsClosed()).slice(0, 4), expected);
});

test('HTTP: reset by the client, and closed', () => {
  for (const [end, error] of [
    [reset(8), 'CANCEL'],
    [reset(99), '99'],
    [streamsClosed(), 'connection_closed'],
  ] as const) {
    const { streams, spans } = startStreams();
    streams.stream(received());
    streams.stream(end);
    assert.equal(attribute(spans[0], 'error.type'), error);
    assert.equal(attribute(spans[0], 'http.response.status_code'), undefined);
    assert.equal(spans[0]?.status, 2);
  }
});

const panic: EventHeader = { timeNs: 3 * SECOND, connection: 0, task: 8, pid: 1, tid: 2, sequence: 0 };

test('a panic in the task that handles the stream', () => {
  for (const [request, end, code] of [
    [receivedRpc(), reset(8, { local: true }), 'CANCELLED'],
    [received(), reset(8, { local: true }), undefined],
    [received(), response(500), undefined],
  ] as const) {
    const { streams, spans } = startStreams();
    streams.stream(request);
    streams.panic({ ...panic, task: 9 });
    streams.panic({ ...panic, timeNs: SECOND });
    streams.panic(panic);
    streams.stream(end);
    const [span] = spans;
    assert.equal(attribute(span, 'error.type'), 'panic');
    assert.equal(attribute(span, 'rpc.response.status_code'), code);
    assert.deepEqual([span?.status, span?.events?.[0]?.unixSeconds], [2, 1003]);
  }
});

test("another task's panic is not the stream's", () => {
  const { streams, spans } = startStreams();
  streams.stream(receivedRpc());
  streams.panic({ ...panic, task: 9 });
  streams.stream(reset(8, { local: true }));
  assert.deepEqual([attribute(spans[0], 'error.type'), spans[0]?.events], [undefined, undefined]);
});

test('metadata and headers as configured; keys of the status', () => {
  const wanted = new Set(['x-a', 'trace-bin']);
  const { streams, spans } = startStreams({
    captureRpcServer: wanted,
    captureServerRequest: new Set(['x-a']),
    captureServerResponse: new Set(['x-b']),
    statusKeys: ['rpc.response.status_code', 'rpc.status_code'].map(attributeKey),
  });
  const headers = [
    ['content-type', 'application/grpc+proto'],
    ['x-a', '1'],
    ['x-a', '2'],
    ['trace-bin', 'AAE='],
  ] as const;
  streams.stream(receivedRpc({ headers }));
  streams.stream(trailers('5'));
  streams.stream(received({ sequence: 3, headers: headers.slice(1) }));
  streams.stream(response(204, { sequence: 3, headers: [['x-b', 'b']] }));
  const [rpc, http] = spans;
  assert.deepEqual(attribute(rpc, 'rpc.request.metadata.x-a'), ['1', '2']);
  assert.deepEqual(attribute(rpc, 'rpc.request.metadata.trace-bin'), ['AAE=']);
  assert.equal(attribute(rpc, 'rpc.status_code'), 'NOT_FOUND');
  assert.equal(attribute(rpc, 'rpc.response.status_code'), 'NOT_FOUND');
  assert.deepEqual(attribute(http, 'http.request.header.x-a'), ['1', '2']);
  assert.deepEqual(attribute(http, 'http.response.header.x-b'), ['b']);
});

test('content types', () => {
  for (const [type, name] of [
    ['application/grpc', 'shop.Shop/Checkout'],
    ['application/grpc;charset=utf-8', 'shop.Shop/Checkout'],
    ['Application/GRPC+json', 'shop.Shop/Checkout'],
    ['application/grpc-web', 'POST'],
    ['application/grpc-web+proto', 'POST'],
    ['application/json', 'POST'],
  ] as const) {
    const { streams, spans } = startStreams();
    streams.stream(receivedRpc({ headers: [['content-type', type]] }));
    streams.stream(response(200, { headers: [['grpc-status', '0']] }));
    assert.equal(spans[0]?.name, name, type);
  }
});
