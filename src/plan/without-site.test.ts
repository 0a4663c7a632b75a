import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Datum, Plan } from './plan.ts';
import { TASK_SLOT, withoutSite } from './without-site.ts';

const FOLDER = fileURLToPath(new URL('../../../fixtures/plans/', import.meta.url));
const PLANS = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.plan.json'))
  .map((name) => ({ name, plan: JSON.parse(readFileSync(`${FOLDER}${name}`, 'utf8')) as Plan }));

const planNamed = (name: string): Plan =>
  PLANS.find((one) => one.name === `${name}.plan.json`)?.plan ?? assert.fail(`no plan ${name}`);

function siteOf(plan: Plan, hook: string) {
  return plan.probes.find((probe) => probe.hook === hook) ?? assert.fail(`no ${hook}`);
}

const sourceOf = ({ sources }: Plan, wanted: Datum) => sources.find(({ datum }) => datum === wanted)?.source;
const hooksOf = ({ probes }: Plan) => new Set(probes.map(({ hook }) => hook));

for (const { name, plan } of PLANS)
  test(`${name}: whatever is taken away, the rest is as it was`, () => {
    for (const site of [...plan.probes, ...(plan.taskSlot ? [TASK_SLOT as typeof TASK_SLOT] : [])]) {
      const less = withoutSite(plan, site, 'why');
      assert(site === TASK_SLOT ? less.taskSlot === undefined : !less.probes.includes(site));
      assert.deepEqual(
        less.probes,
        plan.probes.filter((probe) => less.probes.includes(probe)),
      );
      for (const [index, source] of less.sources.entries()) {
        const before = plan.sources[index];
        if (source !== before) assert.deepEqual([source.datum, source.source], [before?.datum, 'none']);
        if (source !== before) assert.match(source.reason, /switched off: why/);
      }
      assert.equal(less.missing.length, plan.missing.length + 1);
    }
  });

test('parse and encode go together, with TLS; sockets still show the rest', () => {
  for (const hook of ['hyper.server.parse', 'hyper.server.encode']) {
    const plan = planNamed('axum08');
    const used: Plan = {
      ...plan,
      sources: plan.sources.map((one) =>
        one.datum === 'http.server.tls' ? { ...one, source: 'library' } : one,
      ),
    };
    const less = withoutSite(used, siteOf(used, hook), 'why');
    assert.deepEqual(
      [sourceOf(less, 'http.server.tls'), sourceOf(less, 'http.server.plaintext')],
      ['none', 'socket'],
    );
    assert(!hooksOf(less).has('hyper.server.parse') && !hooksOf(less).has('hyper.server.encode'));
  }
});

test('without the task slot there are neither routes nor what tasks inherit', () => {
  const less = withoutSite(planNamed('client11'), TASK_SLOT, 'why');
  assert.deepEqual([sourceOf(less, 'tokio.task'), sourceOf(less, 'tokio.spawn')], ['none', 'none']);
  assert(!hooksOf(less).has('tokio.task_new') && !hooksOf(less).has('axum.set_matched_path'));
  assert.equal(less.routeTable, undefined);
  assert.equal(sourceOf(less, 'http.client.call'), 'library');
});

test('of the places where tasks are made only the wrong one goes', () => {
  const plan = planNamed('client11');
  const less = withoutSite(plan, siteOf(plan, 'tokio.task_new'), 'why');
  assert.equal(less.probes.length, plan.probes.length - 1);
  assert.equal(sourceOf(less, 'tokio.spawn'), 'library');
});

test("calls go with their connection's hook, and what reads their responses too", () => {
  const plan = planNamed('client11');
  const less = withoutSite(plan, siteOf(plan, 'hyper.client.encode'), 'why');
  assert.equal(sourceOf(less, 'http.client.call'), 'none');
  assert.equal(sourceOf(less, 'http.client.plaintext'), 'socket');
  const left = [...hooksOf(less)].filter((hook) => /^(?:hyper\.client|reqwest)/.test(hook));
  assert.deepEqual(left, []);
  const drop = withoutSite(plan, siteOf(plan, 'hyper.client.drop'), 'why');
  assert.equal(sourceOf(drop, 'http.client.call'), 'library');
});

test('where trace context is written under TLS goes by itself, and with what it needs', () => {
  const plan = planNamed('client11');
  const call = siteOf(plan, 'hyper.client.call');
  const written = { ...call, hook: 'hyper.client.encoded', program: 'hyper_client_encoded' } as const;
  const used: Plan = {
    ...plan,
    sources: plan.sources.map((one) =>
      one.datum === 'http.client.tls' ? { ...one, source: 'library' } : one,
    ),
    injection: { sites: [written] },
  };
  const without = withoutSite(used, written, 'why');
  assert.deepEqual(
    [without.injection.sites, without.probes, without.sources],
    [[], used.probes, used.sources],
  );
  assert.match(without.injection.missing ?? '', /switched off: why/);
  assert.deepEqual(withoutSite(used, call, 'why').injection.sites, []);
  assert.deepEqual(withoutSite(used, TASK_SLOT, 'why').injection, used.injection);
});
