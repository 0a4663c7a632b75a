import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Metadata, ServerCredentials, status } from '@grpc/grpc-js';
import { createExport, type Export } from './export.ts';
import { retryDelayMs } from './grpc-retry.ts';
import { spansOf } from './test-support/decode.ts';
import { type ReceivedCall, startGrpcSink } from './test-support/grpc-sink.ts';
import { recordLog, until } from './test-support/sink.ts';
import { flat, makeSpan, testSettings } from './test-support/spans.ts';
import { tlsFile } from './test-support/tls/paths.ts';

function start(env: Readonly<Record<string, string>>): Promise<Export> {
  return createExport(testSettings({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', ...env }), recordLog(), {
    userAgent: 'otel-rust-agent/1.2.3',
  });
}

function addSpans(out: Export, count: number): void {
  for (let i = 0; i < count; i++) out.sink.add(makeSpan(i));
}

function received(calls: readonly ReceivedCall[]): number {
  return calls.reduce((sum, call) => sum + spansOf(call.body).length, 0);
}

test('spans and metadata arrive', async () => {
  using sink = await startGrpcSink();
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${sink.port}`,
    OTEL_EXPORTER_OTLP_HEADERS: 'Api-Key=a%20b',
    OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
  });
  addSpans(out, 10);
  await until(() => out.stats().exported === 10);
  await out.shutdown();
  assert.equal(received(sink.calls), 10);
  const metadata = sink.calls[0]?.metadata;
  assert.deepEqual(metadata?.get('api-key'), ['a b']);
  assert.match(
    String(metadata?.get('user-agent')),
    /^otel-rust-agent\/1\.2\.3 OTel-OTLP-Exporter-JavaScript\//,
  );
});

test('a batch never exceeds what a gRPC server takes by default (4 MiB)', async () => {
  using sink = await startGrpcSink();
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${sink.port}`,
    OTEL_BSP_SCHEDULE_DELAY: '60000',
  });
  const attributes = flat({ 'url.query': 'q'.repeat(2_000) });
  for (let i = 0; i < 5_000; i++) out.sink.add(makeSpan(i, { attributes }));
  await out.shutdown();
  assert.ok(sink.calls.length >= 3);
  assert.deepEqual([out.stats().exported, received(sink.calls)], [5_000, 5_000]);
});

test('UNAVAILABLE is tried again, INVALID_ARGUMENT is final', async () => {
  using sink = await startGrpcSink((callback, number) => {
    if (number === 0) callback({ code: status.UNAVAILABLE, details: 'starting' });
    else if (number === 1) callback(null, Buffer.alloc(0));
    else callback({ code: status.INVALID_ARGUMENT, details: 'no such tenant' });
  });
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${sink.port}` });
  addSpans(out, 5);
  await until(() => out.stats().exported === 5);
  assert.equal(sink.calls.length, 2);
  addSpans(out, 3);
  await until(() => out.stats().failedExport === 3);
  assert.equal(sink.calls.length, 3);
  assert.equal(out.stats().lastError, '3 INVALID_ARGUMENT: no such tenant');
  await out.shutdown();
});

test('partial success is counted', async () => {
  // ExportTraceServiceResponse{partial_success{rejected_spans: 2}}
  using sink = await startGrpcSink((callback) => callback(null, Buffer.from([0x0a, 0x02, 0x08, 0x02])));
  const out = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${sink.port}` });
  addSpans(out, 5);
  await out.shutdown();
  assert.deepEqual([out.stats().exported, out.stats().rejected], [3, 2]);
});

test('a call without an answer ends at its deadline', async () => {
  using sink = await startGrpcSink(() => {});
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${sink.port}`,
    OTEL_EXPORTER_OTLP_TIMEOUT: '200',
  });
  addSpans(out, 5);
  await until(() => out.stats().failedExport === 5);
  assert.match(out.stats().lastError ?? '', /DEADLINE_EXCEEDED/);
  await out.shutdown();
});

test('TLS with a client certificate', async () => {
  const credentials = ServerCredentials.createSsl(
    readFileSync(tlsFile('ca.pem')),
    [{ private_key: readFileSync(tlsFile('server.key')), cert_chain: readFileSync(tlsFile('server.pem')) }],
    true,
  );
  using sink = await startGrpcSink(undefined, credentials);
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `localhost:${sink.port}`,
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
  assert.deepEqual([known.stats().exported, received(sink.calls)], [2, 2]);
});

test('spans flow again soon after the collector came back', async () => {
  const { port } = await (async () => {
    using sink = await startGrpcSink();
    return sink;
  })();
  const out = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    OTEL_EXPORTER_OTLP_TIMEOUT: '1000',
  });
  addSpans(out, 5);
  await until(() => out.stats().failedExport === 5);
  using sink = await startGrpcSink(undefined, undefined, port);
  const timer = setInterval(() => addSpans(out, 1), 20);
  await until(() => out.stats().exported > 0, 30_000);
  clearInterval(timer);
  await out.shutdown();
  assert.equal(received(sink.calls), out.stats().exported);
});

function statusError(code: number, details?: Buffer): { code: number; metadata: Metadata } {
  const metadata = new Metadata();
  if (details) metadata.set('grpc-status-details-bin', details);
  return { code, metadata };
}

/** google.rpc.Status{code: 8, details: [Any{type_url, value: RetryInfo{retry_delay{seconds: 2, nanos: 500000000}}}]} */
function retryInfo(): Buffer {
  const delay = Buffer.from([0x08, 0x02, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01]);
  const info = Buffer.concat([Buffer.from([0x0a, delay.length]), delay]);
  const type = Buffer.from('type.googleapis.com/google.rpc.RetryInfo');
  const any = Buffer.concat([Buffer.from([0x0a, type.length]), type, Buffer.from([0x12, info.length]), info]);
  return Buffer.concat([Buffer.from([0x08, 0x08, 0x1a, any.length]), any]);
}

test('how long to wait before the next attempt', () => {
  assert.equal(retryDelayMs(statusError(status.RESOURCE_EXHAUSTED, retryInfo()), 0), 2_500);
  assert.equal(retryDelayMs(statusError(status.UNAVAILABLE, retryInfo()), 0), 2_500);
  assert.equal(retryDelayMs(statusError(status.RESOURCE_EXHAUSTED), 0), undefined);
  assert.equal(retryDelayMs(statusError(status.INTERNAL, retryInfo()), 0), undefined);
  assert.equal(retryDelayMs(new Error('no status'), 0), undefined);
  for (let end = 0; end < retryInfo().length; end++) {
    const delay = retryDelayMs(statusError(status.RESOURCE_EXHAUSTED, retryInfo().subarray(0, end)), 0);
    assert.ok(delay === undefined || delay <= 2_500);
  }
  const first = retryDelayMs(statusError(status.UNAVAILABLE), 0) ?? 0;
  assert.ok(first >= 800 && first <= 1_200);
  const later = retryDelayMs(statusError(status.UNAVAILABLE), 20) ?? 0;
  assert.ok(later >= 4_000 && later <= 6_000);
});
