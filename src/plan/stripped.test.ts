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
import { SHT_SYMTAB } from '../elf/constants.ts';
import { parseElf } from '../elf/elf.ts';
import { bytesSource } from '../elf/source.ts';
import { QUERIES } from '../libraries/index.ts';
import { FunctionDecoder } from '../x86/instruction.ts';
import { makePlan } from './make-plan.ts';
import { type Plan, type ProbeSite, TIERS, type Tier } from './plan.ts';

const FIXTURES = new URL('../../../fixtures/plans/', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'otel-rust-agent-stripped-'));
after(() => rmSync(folder, { recursive: true }));

const names = readdirSync(FIXTURES)
  .filter((name) => name.endsWith('.gz') && !name.includes('stripped'))
  .map((name) => name.slice(0, -'.gz'.length));

const bytesOf = (name: string): Buffer => gunzipSync(readFileSync(new URL(`${name}.gz`, FIXTURES)));

/** The same program as `strip` leaves it, but for its size: no symbol table that anything could find. */
function stripped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const { header, sections } = parseElf(bytesSource(bytes), 'program');
  for (const { index, type } of sections)
    if (type === SHT_SYMTAB) copy.writeUInt32LE(0, header.sectionHeaderOffset + index * 64 + 4);
  return copy;
}

interface Planned {
  readonly plan: Plan;
  readonly readCode: CodeReader;
}

async function planOf(bytes: Uint8Array, tier: Tier): Promise<Planned> {
  const path = join(folder, 'program');
  writeFileSync(path, bytes);
  const { facts, readCode } = await analyze(path, QUERIES, { cacheDirectory: false, debugRoot: folder });
  return { plan: makePlan({ facts, readCode }, tier), readCode };
}

const siteOf = ({ hook, program, svma, register, offset, cost }: ProbeSite): string =>
  [hook, program, svma, register, offset, cost].join(' ');

/** Symbols do not tell the calls of what makes reqwest's error, where that is a function of its own. */
const isOnlyStripped = (hook: string, twin: Plan): boolean =>
  hook === 'reqwest.timeout' && twin.missing.some((one) => one.hook === hook);

/** Layouts without where they are from. */
const values = (layout: object | undefined): object | undefined =>
  layout &&
  Object.fromEntries(Object.entries(layout).filter(([key]) => key !== 'evidence' && key !== 'recovered'));

for (const name of names)
  test(`${name} without symbols: what is found is what the symbols tell`, async () => {
    const bytes = bytesOf(name);
    for (const tier of TIERS) {
      const { plan: twin } = await planOf(bytes, tier);
      const { plan } = await planOf(stripped(bytes), tier);
      const known = new Set(twin.probes.map(siteOf));
      for (const probe of plan.probes.filter(({ hook }) => !isOnlyStripped(hook, twin)))
        assert.ok(known.has(siteOf(probe)), `${tier}: ${siteOf(probe)}`);
      for (const key of ['layout', 'clientLayout', 'streamLayout', 'taskSlot', 'routeTable'] as const)
        if (plan[key]) assert.deepEqual(values(plan[key]), values(twin[key]), key);
    }
  });

/** Hooks with all the sites of the twin. */
async function recoveredHooks(name: string, tier: Tier): Promise<readonly string[]> {
  const { plan: twin } = await planOf(bytesOf(name), tier);
  const { plan } = await planOf(stripped(bytesOf(name)), tier);
  const found = new Set(plan.probes.map(siteOf));
  const hooks = [...new Set(twin.probes.map(({ hook }) => hook))];
  return hooks.filter((hook) =>
    twin.probes.every((probe) => probe.hook !== hook || found.has(siteOf(probe))),
  );
}

test('servers, clients, tasks and panics are found without symbols', async () => {
  const server = ['hyper.server.parse', 'hyper.server.encode', 'std.rust_panic'];
  for (const name of ['axum08', 'axum07-v0', 'axum06-rustc175', 'hyper014', 'hyper1'])
    assert.deepEqual(missing(server, await recoveredHooks(name, 'library')), [], name);
  const client = ['call', 'encode', 'parse', 'drop'].map((hook) => `hyper.client.${hook}`);
  for (const name of ['client11', 'clientblocking'])
    assert.deepEqual(missing([...client, 'tokio.task_new'], await recoveredHooks(name, 'auto')), [], name);
});

test('routes and HTTP/2 are found without symbols', async () => {
  for (const name of ['axum08', 'axum07-v0', 'axum06-rustc175', 'client11', 'clientblocking'])
    assert.deepEqual(missing(['axum.set_matched_path'], await recoveredHooks(name, 'auto')), [], name);
  const both = ['recv_headers', 'send_headers', 'send_reset', 'cancel', 'recv_reset', 'closed', 'go_away'];
  const server = [...both, 'send_trailers', 'take_request'].map((hook) => `h2.${hook}`);
  for (const name of ['axum08', 'axum07-v0', 'client11'])
    assert.deepEqual(missing(server, await recoveredHooks(name, 'auto')), [], name);
});

test("reqwest's time-outs and blocking calls are found without symbols", async () => {
  assert.deepEqual(missing(['reqwest.timeout'], await recoveredHooks('client11', 'auto')), []);
  const blocking = ['reqwest.blocking_call', 'reqwest.execute'];
  assert.deepEqual(missing(blocking, await recoveredHooks('clientblocking', 'auto')), []);
});

test('a program built for size gives without symbols what it gives with them, and more', async () => {
  const { plan: twin } = await planOf(bytesOf('matrix-new-opt-z'), 'library');
  const hooks = [...new Set(twin.probes.map(({ hook }) => hook))];
  const found = await recoveredHooks('matrix-new-opt-z', 'library');
  assert.deepEqual(missing(hooks, found), []);
  assert.deepEqual(missing(['tokio.task_new', 'tonic.call', 'tonic.drop', 'h2.closed'], found), []);
  const { plan } = await planOf(stripped(bytesOf('matrix-new-opt-z')), 'library');
  assert.deepEqual(plan.missing, []);
});

const missing = (wanted: readonly string[], found: readonly string[]) =>
  wanted.filter((hook) => !found.includes(hook));

test('the running task is known without symbols, whatever the compiler and the link', async () => {
  for (const name of ['axum08', 'axum06-rustc175', 'hyper1-fat-lto', 'client11', 'actix4']) {
    const { plan } = await planOf(stripped(bytesOf(name)), 'auto');
    assert.equal(plan.sources.find(({ datum }) => datum === 'tokio.task')?.source, 'tls-slot', name);
  }
});

test('a program that only looks like one with the libraries gives nothing', async () => {
  const { plan } = await planOf(stripped(bytesOf('stdhttp')), 'library');
  assert.deepEqual(
    plan.probes.map(({ hook }) => hook),
    ['std.rust_panic'],
  );
  assert.equal(plan.taskSlot, undefined);
});

test('a damaged program without symbols gives an error or sites on boundaries, in bounded time', async () => {
  const original = stripped(bytesOf('axum06-rustc175'));
  const { sections } = parseElf(bytesSource(original), 'program');
  const wanted = ['.eh_frame', '.text', '.data.rel.ro', '.rela.dyn', '.got', '.rodata'];
  const places = sections.filter(({ name }) => wanted.includes(name));
  const flip = fc.constantFrom(...places).chain(({ offset, size }) =>
    fc.tuple(
      fc.nat(size - 1).map((at) => offset + at),
      fc.nat(255),
    ),
  );
  let plans = 0;
  const property = fc.asyncProperty(
    fc.array(flip, { minLength: 1, maxLength: 5000 }),
    fc.boolean(),
    async (flips, few) => {
      const bytes = Buffer.from(original);
      for (const [at, value] of few ? flips.slice(0, 20) : flips) bytes[at] = value;
      const startMs = performance.now();
      const planned = await planOrError(bytes);
      assert.ok(performance.now() - startMs < 20_000, 'took more than 20 s');
      if (planned) plans++;
      for (const probe of planned?.plan.probes ?? []) assertOnBoundary(probe, planned?.readCode);
    },
  );
  await fc.assert(property, { numRuns: 20 });
  assert.ok(plans > 5, `only ${plans} plans`);
});

async function planOrError(bytes: Uint8Array): Promise<Planned | undefined> {
  try {
    return await planOf(bytes, 'library');
  } catch (error) {
    assert.ok(error instanceof UserError, error instanceof Error ? error.stack : String(error));
    return undefined;
  }
}

function assertOnBoundary(probe: ProbeSite, readCode: CodeReader | undefined): void {
  const code = readCode?.(svma(probe.svma - probe.functionOffset), probe.functionOffset + 16);
  assert.ok(code);
  using decoder = new FunctionDecoder(code);
  for (let one = decoder.next(); one; one = decoder.next()) {
    assert.notEqual(one.flow, 'invalid');
    if (one.offset === probe.functionOffset) return;
  }
  assert.fail(`${probe.hook}: 0x${probe.svma.toString(16)} is inside an instruction`);
}
