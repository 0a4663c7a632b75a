import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { UserError } from '../base/errors.ts';
import { createExport, type Export } from './export.ts';
import { spansOf } from './test-support/decode.ts';
import { collect, type ReceivedRequest, recordLog, startSink, until } from './test-support/sink.ts';
import { flat, makeSpan, testSettings } from './test-support/spans.ts';
import { tlsFile } from './test-support/tls/paths.ts';

function start(env: Readonly<Record<string, string>>, log = recordLog()): Promise<Export> {
  return createExport(testSettings(env), log, { userAgent: 'otel-rust-agent/1.2.3' });
}

function addSpans(out: Export, count: number): void {
  for (let i = 0; i < count; i++) out.sink.add(makeSpan(i));
}

function received(requests: readonly ReceivedRequest[]): number {
  return requests.reduce((sum, request) => sum + spansOf(request.body).length, 0);
}

test('spans arrive as OTLP protobuf with the headers asked for', async () => {
  await using sink = await startSink();
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20b',
  });
  addSpans(out, 10);
  await until(() => out.stats().exported === 10);
  await out.shutdown();
  const [request] = sink.requests;
  assert.equal(request?.path, '/v1/traces');
  assert.equal(request?.headers['content-type'], 'application/x-protobuf');
  assert.equal(request?.headers['api-key'], 'a b');
  assert.match(
    request?.headers['user-agent'] ?? '',
    /^otel-rust-agent\/1\.2\.3 OTel-OTLP-Exporter-JavaScript\//,
  );
  assert.equal(received(sink.requests), 10);
});

test('gzip', async () => {
  await using sink = await startSink();
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url, OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' });
  addSpans(out, 100);
  await out.shutdown();
  assert.equal(sink.requests[0]?.headers['content-encoding'], 'gzip');
  assert.equal(received(sink.requests), 100);
  assert.equal(out.stats().exported, 100);
});

test('http/json', async () => {
  await using sink = await startSink((response) => {
    response.setHeader('content-type', 'application/json');
    response.end('{"partialSuccess":{"rejectedSpans":"3"}}');
  });
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
  });
  out.sink.add(makeSpan(7, { parentId1: 9, parentIsRemote: true, traceState: 'a=1' }));
  addSpans(out, 4);
  await out.shutdown();
  assert.equal(sink.requests[0]?.headers['content-type'], 'application/json');
  const body = JSON.parse(sink.requests[0]?.body.toString() ?? '');
  const { attributes, ...span } = body.resourceSpans[0].scopeSpans[0].spans[0];
  assert.deepEqual(span, {
    traceId: '0af7651916cd43dd8448eb2100000007',
    spanId: '00f067aa00000007',
    parentSpanId: '0000000000000009',
    traceState: 'a=1',
    name: 'GET /users/{id}',
    kind: 2,
    startTimeUnixNano: '1700000000123456789',
    endTimeUnixNano: '1700000000124000000',
    droppedAttributesCount: 0,
    events: [],
    droppedEventsCount: 0,
    status: { code: 0 },
    links: [],
    droppedLinksCount: 0,
    flags: 0x301,
  });
  assert.deepEqual(attributes[0], { key: 'http.request.method', value: { stringValue: 'GET' } });
  assert.deepEqual(body.resourceSpans[0].resource.attributes[0], {
    key: 'service.name',
    value: { stringValue: 'shop' },
  });
  assert.deepEqual([out.stats().exported, out.stats().rejected], [2, 3]);
});

test('a batch larger than a request leaves in several', async () => {
  await using sink = await startSink();
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url, OTEL_BSP_SCHEDULE_DELAY: '60000' });
  addSpans(out, 8_000);
  addSpans(out, 12_000);
  await out.shutdown();
  assert.ok(sink.requests.length >= 3);
  for (const request of sink.requests) assert.ok(request.body.length <= 3.5 * 1024 * 1024);
  assert.equal(received(sink.requests), 20_000);
  assert.equal(out.stats().exported, 20_000);
});

test('503 with Retry-After is tried again after that time', async () => {
  await using sink = await startSink((response, number) => {
    if (number === 0) response.writeHead(503, { 'retry-after': '1' });
    response.end();
  });
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url });
  const begin = Date.now();
  addSpans(out, 5);
  await until(() => out.stats().exported === 5);
  assert.ok(Date.now() - begin >= 1_000);
  assert.equal(sink.requests.length, 2);
  assert.deepEqual(sink.requests[0]?.body, sink.requests[1]?.body);
  await out.shutdown();
});

test('a final error loses the batch, says why once, and the next one gets through', async () => {
  await using sink = await startSink((response, number) => {
    if (number < 2) response.writeHead(400, 'Bad Request').end('no such tenant');
    else response.end();
  });
  const log = recordLog();
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url }, log);
  for (const lost of [5, 10]) {
    addSpans(out, 5);
    await until(() => out.stats().failedExport === lost);
  }
  assert.equal(out.stats().lastError, 'HTTP 400 Bad Request: no such tenant');
  addSpans(out, 3);
  await until(() => out.stats().exported === 3);
  assert.deepEqual(log.lines, [
    `warn: Cannot export to ${sink.url}/v1/traces: HTTP 400 Bad Request: no such tenant; 5 spans lost`,
    `info: Spans reach ${sink.url}/v1/traces again; 10 were lost so far`,
  ]);
  await out.shutdown();
});

test('without a collector spans are dropped and counted, and flow again when it is back', async () => {
  const { port, url } = await (async () => {
    await using sink = await startSink();
    return sink;
  })();
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_TIMEOUT: '2000',
    OTEL_BSP_MAX_QUEUE_SIZE: '100',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10',
  });
  addSpans(out, 500);
  assert.equal(out.stats().queued + out.stats().inFlight + out.stats().droppedQueueFull, 500);
  await until(() => out.stats().failedExport > 0);
  assert.match(out.stats().lastError ?? '', /ECONNREFUSED/);
  assert.equal(out.sink.full(), false, 'a dead collector must not hold back the events');
  await using sink = await startSink(undefined, port);
  await until(() => out.stats().queued + out.stats().inFlight === 0);
  addSpans(out, 1);
  await out.shutdown();
  const { exported, failedExport, droppedQueueFull } = out.stats();
  assert.ok(exported > 0);
  assert.equal(exported, received(sink.requests));
  assert.equal(exported + failedExport + droppedQueueFull, 501);
});

test('back-pressure while the collector is merely busy', async () => {
  let release = () => {};
  await using sink = await startSink((response) => {
    release = () => response.end();
  });
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_BSP_MAX_QUEUE_SIZE: '100',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '10',
  });
  addSpans(out, 84);
  assert.equal(out.sink.full(), false);
  addSpans(out, 1);
  assert.deepEqual([out.stats().inFlight, out.stats().queued, out.sink.full()], [10, 75, true]);
  await until(() => sink.requests.length === 1);
  release();
  await until(() => sink.requests.length === 2);
  assert.equal(out.sink.full(), false);
  const timer = setInterval(() => release(), 1);
  await out.shutdown();
  clearInterval(timer);
  assert.equal(out.stats().exported, 85);
});

test('a collector that never answers costs the time-out and nothing is kept', async () => {
  await using sink = await startSink(() => {});
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url, OTEL_EXPORTER_OTLP_TIMEOUT: '200' });
  addSpans(out, 5);
  await until(() => out.stats().failedExport === 5);
  assert.match(out.stats().lastError ?? '', /timed out/);
  await out.shutdown();
});

test('an answer that trickles in is cut off', async () => {
  const sockets: Socket[] = [];
  const server = createTcpServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n');
    const timer = setInterval(() => socket.write('x'), 20);
    socket.on('close', () => clearInterval(timer));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_TIMEOUT: '1000' });
  addSpans(out, 5);
  await until(() => out.stats().failedExport === 5);
  assert.equal(out.stats().lastError, 'no full answer within 1000 ms');
  await until(() => sockets.every((socket) => socket.destroyed));
  await out.shutdown();
  server.close();
});

test('shutting down is bounded by the export time-out, and what is left is counted', async () => {
  await using sink = await startSink(() => {});
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_BSP_EXPORT_TIMEOUT: '200',
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '1',
    OTEL_BSP_SCHEDULE_DELAY: '60000',
  });
  addSpans(out, 50);
  const begin = Date.now();
  await out.shutdown();
  assert.ok(Date.now() - begin < 10_000);
  const { queued, inFlight, failedExport, exported } = out.stats();
  assert.deepEqual(
    { queued, inFlight, failedExport, exported },
    { queued: 0, inFlight: 0, failedExport: 50, exported: 0 },
  );
});

test('hundreds of small batches at shutdown all arrive', async () => {
  await using sink = await startSink();
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '1',
    OTEL_BSP_SCHEDULE_DELAY: '60000',
  });
  addSpans(out, 300);
  await out.shutdown();
  assert.equal(out.stats().exported, 300);
  assert.equal(received(sink.requests), 300);
});

test('a queue of large spans is bounded in bytes', async () => {
  await using sink = await startSink(() => {});
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_BSP_MAX_QUEUE_SIZE: '10000',
    OTEL_BSP_EXPORT_TIMEOUT: '100',
  });
  const attributes = flat({ 'url.query': 'q'.repeat(1024 * 1024) });
  for (let i = 0; i < 50; i++) out.sink.add(makeSpan(i, { attributes }));
  assert.equal(out.stats().queued, 10);
  assert.equal(out.stats().droppedQueueFull, 40);
  assert.equal(out.sink.full(), true);
  await out.shutdown();
});

test('spans that come after the end are counted', async () => {
  await using sink = await startSink();
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url });
  await out.shutdown();
  addSpans(out, 3);
  assert.deepEqual([out.stats().queued, out.stats().droppedQueueFull], [0, 3]);
});

test('unsampled spans are not sent', async () => {
  await using sink = await startSink();
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: sink.url });
  out.sink.add(makeSpan(0, { traceFlags: 0 }));
  out.sink.add(makeSpan(1));
  await out.shutdown();
  assert.equal(received(sink.requests), 1);
  assert.equal(out.stats().exported, 1);
});

test('TLS with a client certificate', async () => {
  const requests: ReceivedRequest[] = [];
  const server = createTlsServer(
    {
      key: readFileSync(tlsFile('server.key')),
      cert: readFileSync(tlsFile('server.pem')),
      ca: readFileSync(tlsFile('ca.pem')),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => collect(request, requests, () => response.end()),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `https://localhost:${(server.address() as AddressInfo).port}`,
    OTEL_EXPORTER_OTLP_CERTIFICATE: tlsFile('ca.pem'),
  };
  const stranger = await start({ ...env, OTEL_EXPORTER_OTLP_TIMEOUT: '500' });
  addSpans(stranger, 2);
  await stranger.shutdown();
  assert.deepEqual([stranger.stats().exported, stranger.stats().failedExport], [0, 2]);
  const known = await start({
    ...env,
    OTEL_EXPORTER_OTLP_CLIENT_KEY: tlsFile('client.key'),
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: tlsFile('client.pem'),
  });
  addSpans(known, 2);
  await known.shutdown();
  assert.deepEqual([known.stats().exported, received(requests)], [2, 2]);
  server.close();
});

test('certificates that cannot be used are errors at start', async () => {
  const fails = (env: Readonly<Record<string, string>>, message: RegExp) =>
    assert.rejects(
      () => start(env),
      (error) => error instanceof UserError && message.test(error.message),
    );
  await fails({ OTEL_EXPORTER_OTLP_CERTIFICATE: '/nowhere/ca.pem' }, /Cannot read the certificate .*ENOENT/);
  await fails(
    { OTEL_EXPORTER_OTLP_CERTIFICATE: tlsFile('client.key').replace('client.key', 'make.sh') },
    /Cannot use the cert/,
  );
  await fails({ OTEL_EXPORTER_OTLP_CLIENT_KEY: tlsFile('client.key') }, /client certificate is not set/);
  await fails(
    {
      OTEL_EXPORTER_OTLP_CLIENT_KEY: tlsFile('client.key'),
      OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: tlsFile('server.pem'),
    },
    /client key and certificate .*key values mismatch/,
  );
});
