import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import type { Analysis } from '../analysis/analyze.ts';
import { fileOffset } from '../base/address.ts';
import { crate, factsWith, functionAt } from '../plan/facts-for-tests.ts';
import { cachedPlan } from './cached-plan.ts';

const facts = factsWith({
  crates: [crate('hyper', '1.12.0')],
  functions: { 'std.rust_panic': [functionAt('rust_panic', 0x5000)] },
});

function analysisIn(directory: string | undefined, key = 'k') {
  let reads = 0;
  const analysis: Analysis = {
    facts,
    problems: [],
    cached: directory === undefined ? undefined : { directory, key },
    readCode: (svma, size) => {
      reads++;
      return { svma, fileOffset: fileOffset(svma), bytes: Uint8Array.of(0x55, 0xc3).subarray(0, size) };
    },
  };
  return { analysis, reads: () => reads };
}

test('a plan is made once for the same bytes and tier', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'plan-'));
  try {
    const first = analysisIn(directory);
    const plan = await cachedPlan(first.analysis, 'auto');
    assert(first.reads() > 0 && plan.probes.length > 0);
    const second = analysisIn(directory);
    assert.deepEqual(JSON.parse(JSON.stringify(await cachedPlan(second.analysis, 'auto'))), clean(plan));
    assert.equal(second.reads(), 0);
    for (const other of [analysisIn(directory, 'other'), analysisIn(undefined)]) {
      await cachedPlan(other.analysis, 'auto');
      assert(other.reads() > 0);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a damaged entry is made anew', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'plan-'));
  try {
    await cachedPlan(analysisIn(directory).analysis, 'auto');
    for (const file of readdirSync(directory)) writeFileSync(join(directory, file), 'x');
    const again = analysisIn(directory);
    await cachedPlan(again.analysis, 'auto');
    assert(again.reads() > 0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

const clean = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
