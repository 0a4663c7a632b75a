import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { UserError } from '../base/errors.ts';
import { fixture } from '../elf/fixtures.testing.ts';
import { knownPlan } from './known-plan.ts';
import { planFile } from './plan-file.ts';
import { Planner } from './planner.ts';

const folder = mkdtempSync(join(tmpdir(), 'planner-'));
after(() => rmSync(folder, { recursive: true }));

function write(name: string): string {
  const path = join(folder, name);
  writeFileSync(path, fixture(name));
  return path;
}

const cache = (name: string) => join(folder, name);

/** JSON has no undefined. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test('plans of another thread are those of this one, and are known afterwards for the same bytes and tier', async () => {
  const path = write('rust-static');
  await sleep(statSync(path).ctimeMs + 2_100 - Date.now()); // then its time stamps tell of a change
  const here = await planFile({ path, tier: 'auto', cacheDirectory: cache('here') });
  assert(here.plan?.probes.length);

  const place = { path, tier: 'auto', cacheDirectory: cache('aside') } as const;
  using planner = new Planner('auto', place.cacheDirectory);
  const [first, second] = await Promise.all([planner.plan(path), planner.plan(path)]);
  assert.deepEqual(first, here);
  assert.deepEqual(second, here);

  assert.deepEqual(plain(knownPlan(place)), plain(here));
  assert.equal(knownPlan({ ...place, tier: 'library' }), undefined);
  assert.equal(knownPlan({ ...place, path: write('rust-stripped') }), undefined);
  for (const file of readdirSync(place.cacheDirectory)) writeFileSync(join(place.cacheDirectory, file), 'x');
  assert.equal(knownPlan(place), undefined, 'a damaged entry');
  assert.deepEqual(await planner.plan(path), here);
  writeFileSync(path, fixture('rust-stripped'));
  assert.equal(knownPlan(place), undefined, 'a file that has just changed');
});

test('what is no program or not in Rust is told as in this thread', async () => {
  using planner = new Planner('auto', cache('others'));
  assert.equal((await planner.plan(write('c-pie'))).plan, undefined);
  const text = join(folder, 'text');
  writeFileSync(text, '#!/bin/sh\n');
  const refused = planner.plan(text);
  await assert.rejects(refused, UserError);
  await assert.rejects(planner.plan(join(folder, 'none')), UserError);
});

test('a thread that has ended is followed by another', async () => {
  const path = write('rust-split');
  using planner = new Planner('auto', cache('threads'));
  const first = await planner.plan(path);
  await sleep(1_000); // it has ended by itself
  rmSync(cache('threads'), { recursive: true, force: true });
  assert.deepEqual(plain(await planner.plan(path)), plain(first));
});

test('what was planned ahead is there when it is asked for, unless the file has changed', async () => {
  using planner = new Planner('auto', cache('ahead'));
  const path = write('rust-static');
  planner.planAhead([path, join(folder, 'none'), path]);
  const ahead = await planner.plan(path);
  assert.deepEqual(
    plain(ahead),
    plain(await planFile({ path, tier: 'auto', cacheDirectory: cache('there') })),
  );
  planner.planAhead([path]);
  writeFileSync(path, fixture('c-pie'));
  assert.equal((await planner.plan(path)).plan, undefined);
});

test('after its end nothing is planned', async () => {
  const planner = new Planner('auto', cache('ended'));
  planner[Symbol.dispose]();
  const planned = planner.plan(write('rust-stripped-no-comment')).then(() => 'planned');
  assert.equal(await Promise.race([planned, sleep(1_000, 'nothing')]), 'nothing');
});

test('one that fails does not take the others along', async () => {
  using planner = new Planner('auto', cache('beside'));
  const good = write('rust-static');
  const results = await Promise.allSettled(
    [good, join(folder, 'none'), write('c-no-pie'), good].map((path) => planner.plan(path)),
  );
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
  );
});
