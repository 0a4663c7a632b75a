import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { analyze } from '../analysis/analyze.ts';
import { fixture } from '../elf/fixtures.testing.ts';
import { QUERIES } from '../libraries/index.ts';
import { makePlan } from './make-plan.ts';
import { TIERS } from './plan.ts';

const folder = mkdtempSync(join(tmpdir(), 'otel-rust-agent-lookalike-'));
after(() => rmSync(folder, { recursive: true }));

test("a program with the libraries' texts and panic locations, but none of their code, gets no probe", async () => {
  const path = join(folder, 'lookalike');
  writeFileSync(path, fixture('rust-lookalike'));
  const { facts, readCode } = await analyze(path, QUERIES, { cacheDirectory: false, debugRoot: folder });
  for (const tier of TIERS) {
    const plan = makePlan({ facts, readCode }, tier);
    const hooks = plan.probes.map(({ hook }) => hook);
    assert.deepEqual(
      hooks.filter((hook) => hook !== 'std.rust_panic'),
      [],
    );
    assert.equal(plan.taskSlot, undefined);
    assert.equal(plan.routeTable, undefined);
  }
});
