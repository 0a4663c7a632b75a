import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createExport } from './export.ts';
import { spansOf } from './test-support/decode.ts';
import { recordLog, startSink, until } from './test-support/sink.ts';
import { makeSpan, testSettings } from './test-support/spans.ts';

test('spans arrive as OTLP protobuf', async () => {
  await using sink = await startSink();
  const settings = testSettings({
    OTEL_EXPORTER_OTLP_ENDPOINT: sink.url,
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20b',
  });
  const out = createExport(settings, recordLog());
  for (let i = 0; i < 10; i++) out.sink.add(makeSpan(i));
  await until(() => out.stats().exported === 10);
  await out.shutdown();
  const [request] = sink.requests;
  assert.equal(request?.path, '/v1/traces');
  assert.equal(request?.headers['content-type'], 'application/x-protobuf');
  assert.equal(request?.headers['api-key'], 'a b');
  assert.match(request?.headers['user-agent'] ?? '', /^otel-rust-agent\/\d/);
  assert.equal(spansOf(request?.body ?? Buffer.alloc(0)).length, 10);
});
