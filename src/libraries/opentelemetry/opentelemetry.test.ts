import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crate, factsWith, functionAt } from '../../plan/facts-for-tests.ts';
import { QUERIES, recognise } from '../index.ts';
import { OTLP_CRATE, ownExporter } from './opentelemetry.ts';

const ownOf = (parts: Parameters<typeof factsWith>[0]) => ownExporter(recognise(factsWith(parts)));

test('a program that exports spans of its own is recognised by its crate, or by the exporter', () => {
  const found = ownOf({ crates: [crate('hyper', '1.12.0'), crate(OTLP_CRATE, '0.33.1')] });
  assert.deepEqual([found?.name, found?.version], [OTLP_CRATE, '0.33.1']);
  const name =
    '<opentelemetry_otlp::span::SpanExporter as opentelemetry_sdk::trace::export::SpanExporter>::export';
  const query = 'opentelemetry.otlp.span_exporter';
  assert.equal(ownOf({ functions: { [query]: [functionAt(name, 0x1000)] } })?.evidence, name);
  const { pattern } = QUERIES.find(({ id }) => id === query) ?? assert.fail();
  assert.match(name, pattern);
});

test('the API and other exporters are no exporter of spans', () => {
  const crates = ['opentelemetry', 'opentelemetry_sdk', 'opentelemetry-stdout', 'tracing-opentelemetry'];
  assert.equal(ownOf({ crates: crates.map((name) => crate(name, '0.33.0')) }), undefined);
});
