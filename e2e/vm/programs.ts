import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tracing } from '../../src/agent/tracing.ts';
import { readConfig } from '../../src/config.ts';
import { PROGRAMS } from '../../src/plan/plan.ts';

test('this kernel takes every program, also those that write trace context', async () => {
  using tracing = new Tracing(readConfig({}, { injectTls: true }).config);
  assert.equal(tracing.injectionObstacle, undefined);
  assert.equal(tracing.tlsInjectionObstacle, undefined);
  await tracing.attachTracepoints();
  await tracing.kernel.load(PROGRAMS);
});
