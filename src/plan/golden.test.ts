import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after } from 'node:test';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { analyze } from '../analysis/analyze.ts';
import type { CodeReader } from '../analysis/facts.ts';
import { svma } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { QUERIES } from '../libraries/index.ts';
import { FunctionDecoder } from '../x86/instruction.ts';
import { makePlan } from './make-plan.ts';
import { type Plan, type ProbeSite, TIERS, type Tier } from './plan.ts';

const FIXTURES = new URL('../../../fixtures/plans/', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'otel-rust-agent-plans-'));
after(() => rmSync(folder, { recursive: true }));

const names = readdirSync(FIXTURES)
  .filter((name) => name.endsWith('.gz'))
  .map((name) => name.slice(0, -'.gz'.length));

const bytesOf = (name: string): Buffer => gunzipSync(readFileSync(new URL(`${name}.gz`, FIXTURES)));

function unpack(name: string, bytes = bytesOf(name)): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function planOf(path: string, tier: Tier): Promise<{ plan: Plan; readCode: CodeReader }> {
  const { facts, readCode } = await analyze(path, QUERIES, { cacheDirectory: false, debugRoot: folder });
  return { plan: makePlan({ facts, readCode }, tier), readCode };
}

const json = (plan: Plan): string => `${JSON.stringify(plan, undefined, 2)}\n`;

for (const name of names) {
  test(`golden plan of ${name}`, async () => {
    const { plan } = await planOf(unpack(name), 'auto');
    const golden = new URL(`${name}.plan.json`, FIXTURES);
    if (process.env.BLESS === '1') writeFileSync(golden, json(plan));
    assert.equal(json(plan), readFileSync(golden, 'utf8'));
  });
}

test('every site of every tier is an instruction of its function, on the straight path from its entry', async () => {
  for (const name of names)
    for (const tier of TIERS) {
      const { plan, readCode } = await planOf(unpack(name), tier);
      for (const probe of plan.probes) assertOnBoundary(probe, readCode);
    }
});

test('the same program at another place gives the same plan', async () => {
  const { plan } = await planOf(unpack('axum08'), 'library');
  const again = await planOf(unpack('somewhere-else', bytesOf('axum08')), 'library');
  assert.equal(json(plan), json(again.plan));
});

test('a damaged program gives an error or a plan whose sites are on boundaries, in bounded time', async () => {
  const original = bytesOf('stdhttp');
  const damage = fc.record({
    cut: fc.option(fc.nat(original.length), { nil: original.length, freq: 2 }),
    flips: fc.array(fc.tuple(fc.nat(original.length - 1), fc.integer({ min: 1, max: 255 })), {
      maxLength: 40,
    }),
    headerFlips: fc.array(fc.tuple(fc.nat(1200), fc.integer({ min: 1, max: 255 })), { maxLength: 2 }),
  });
  const property = fc.asyncProperty(damage, async ({ cut, flips, headerFlips }) => {
    const bytes = Buffer.from(original);
    for (const [at, mask] of [...flips, ...headerFlips]) bytes[at] = (bytes[at] ?? 0) ^ mask;
    const startMs = performance.now();
    if (await planOrError(unpack('damaged', bytes.subarray(0, cut)))) plans++;
    assert.ok(performance.now() - startMs < 3000, 'took more than 3 s');
  });
  let plans = 0;
  await fc.assert(property, { numRuns: 200 });
  assert.ok(plans > 10, `only ${plans} of 200 damaged programs still had a plan`);
});

test('flipped bytes in the probed functions move or drop sites, never off a boundary', async () => {
  const { plan } = await planOf(unpack('axum08'), 'library');
  const original = bytesOf('axum08');
  const places = plan.probes.map(({ fileOffset, functionOffset }) => fileOffset - functionOffset);
  const flip = fc.record({ place: fc.constantFrom(...places), at: fc.nat(40), value: fc.nat(255) });
  const property = fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 8 }), async (flips) => {
    const bytes = Buffer.from(original);
    for (const { place, at, value } of flips) bytes[place + at] = value;
    await planOrError(unpack('flipped', bytes));
  });
  await fc.assert(property, { numRuns: 25 });
});

test('flipped bytes where task ids are drawn: a site with its check, or a reason', async () => {
  const { plan } = await planOf(unpack('clientblocking'), 'auto');
  const original = bytesOf('clientblocking');
  const sites = plan.probes.filter(isInside);
  assert.ok(sites.length > 5);
  const flip = fc.record({
    place: fc.constantFrom(...sites.map(({ fileOffset }) => fileOffset)),
    at: fc.integer({ min: -40, max: 10 }),
    value: fc.nat(255),
  });
  const property = fc.asyncProperty(fc.array(flip, { minLength: 1, maxLength: 8 }), async (flips) => {
    const bytes = Buffer.from(original);
    for (const { place, at, value } of flips) bytes[place + at] = value;
    await planOrError(unpack('flipped-client', bytes));
  });
  await fc.assert(property, { numRuns: 15 });
});

/** True for a plan, whose sites have been checked; false for a UserError. */
async function planOrError(path: string): Promise<boolean> {
  try {
    const { plan, readCode } = await planOf(path, 'library');
    for (const probe of plan.probes) assertOnBoundary(probe, readCode);
    return true;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return false;
  }
}

/** Sites that are not looked for at a function's entry. */
const isInside = ({ hook }: ProbeSite): boolean => ['tokio.task_new', 'reqwest.timeout'].includes(hook);

function assertOnBoundary(probe: ProbeSite, readCode: CodeReader): void {
  const code = readCode(svma(probe.svma - probe.functionOffset), probe.functionOffset + 16);
  assert.ok(code, `${probe.hook}: no code`);
  using decoder = new FunctionDecoder(code);
  let one = decoder.next();
  while (one && one.offset < probe.functionOffset) {
    if (!isInside(probe))
      assert.equal(one.flow, 'straight', `${probe.hook}: ${decoder.text()} lies before the site`);
    assert.notEqual(one.flow, 'invalid', `${probe.hook}: no code before the site`);
    one = decoder.next();
  }
  assert.equal(one?.offset, probe.functionOffset, `${probe.hook}: not on a boundary`);
  assert.equal(decoder.text(), probe.instruction);
}
