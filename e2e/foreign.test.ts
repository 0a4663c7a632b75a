// Programs that nobody here wrote, as their makers ship them: stripped, optimised in their own ways.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { get, Agent as HttpAgent } from 'node:http';
import { test } from 'node:test';
import { analyze } from '../src/analysis/analyze.ts';
import { UserError } from '../src/base/errors.ts';
import { QUERIES } from '../src/libraries/index.ts';
import { makePlan } from '../src/plan/make-plan.ts';
import type { Plan } from '../src/plan/plan.ts';
import { startAgent } from './support/agent.ts';
import { Child } from './support/child.ts';
import { Collector, freePort } from './support/collector.ts';
import { foreignProgram } from './support/foreign.ts';
import type { Span } from './support/otlp.ts';
import { pause } from './support/raw-client.ts';
import { Scratch } from './support/scratch.ts';

interface Request {
  readonly path: string;
  readonly status: number;
  /** The framework's own template, where it has one. */
  readonly route?: string;
}

interface Server {
  readonly name: string;
  readonly args: (port: number, folder: string) => readonly string[];
  readonly requests: readonly Request[];
}

const FILES: readonly Request[] = [
  { path: '/index.html', status: 200 },
  { path: '/sub/page.txt', status: 200 },
  { path: '/missing.html', status: 404 },
];

const SHIPPED: readonly Server[] = [
  {
    name: 'leanspec-http',
    args: (port) => ['--port', `${port}`, '--no-open', '--no-config'],
    requests: [
      { path: '/health', status: 200, route: '/health' },
      { path: '/api/projects', status: 200, route: '/api/projects' },
      { path: '/api/projects/none', status: 404, route: '/api/projects/{id}' },
      { path: '/api/projects/none/specs/first', status: 404, route: '/api/projects/{id}/specs/{spec}' },
    ],
  },
  { name: 'apimock', args: (port, folder) => ['-p', `${port}`, '-d', folder], requests: FILES },
];

/** Built by cargo, for minutes: only with OTEL_RUST_FOREIGN=all, as what is 42 MB to fetch. */
const BUILT: readonly Server[] = [
  {
    name: 'static-web-server',
    args: (port, folder) => ['--host', '127.0.0.1', '--port', `${port}`, '--root', folder],
    requests: FILES,
  },
  {
    name: 'dufs',
    args: (port, folder) => ['--bind', '127.0.0.1', '--port', `${port}`, folder],
    requests: FILES,
  },
  {
    name: 'miniserve',
    args: (port, folder) => ['--interfaces', '127.0.0.1', '--port', `${port}`, folder],
    requests: FILES,
  },
];

const ALL = process.env.OTEL_RUST_FOREIGN === 'all';
const SERVERS = ALL ? [...SHIPPED, ...BUILT] : SHIPPED;
const REQUESTS = 2000;
const CONNECTIONS = 16;

async function planOf(path: string): Promise<Plan> {
  const { facts, readCode } = await analyze(path, QUERIES, { cacheDirectory: false });
  return makePlan({ facts, readCode }, 'auto');
}

for (const server of SERVERS) {
  test(`${server.name}: a right span for each of ${REQUESTS} requests`, async () => {
    using scratch = new Scratch();
    using collector = await Collector.start(scratch);
    const executable = copyOf(scratch, server.name);
    const plan = await planOf(executable);
    const port = await freePort();
    using child = new Child(executable, server.args(port, siteIn(scratch)), { cwd: scratch.path });
    await answers(port, child);
    using agent = await startAgent(['--exe', executable], {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.httpEndpoint,
    });
    await sendAll(server, port);
    await pause(200);
    await agent.stop();
    const hasRoutes = plan.sources.some(({ datum, source }) => datum === 'http.route' && source !== 'none');
    assertSpans(await collector.finish(), server, hasRoutes);
  });
}

function copyOf(scratch: Scratch, name: string): string {
  const executable = scratch.file(name);
  copyFileSync(foreignProgram(name), executable);
  chmodSync(executable, 0o755);
  return executable;
}

function siteIn(scratch: Scratch): string {
  const folder = scratch.file('site');
  mkdirSync(`${folder}/sub`, { recursive: true });
  writeFileSync(`${folder}/index.html`, '<p>index</p>');
  writeFileSync(`${folder}/sub/page.txt`, 'GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n');
  return folder;
}

/** Requests before the agent is there have no spans. */
async function answers(port: number, child: Child): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (!child.running) throw new Error(`It ended: ${child.stderr}`);
    try {
      await fetchStatus(port, '/before', new HttpAgent());
      return;
    } catch {
      await pause(50);
    }
  }
  throw new Error(`It does not answer: ${child.stderr}`);
}

function fetchStatus(port: number, path: string, agent: HttpAgent): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', reject);
  });
}

const requestOf = ({ requests }: Server, index: number): Request =>
  requests[index % requests.length] as Request;

async function sendAll(server: Server, port: number): Promise<void> {
  const agent = new HttpAgent({ keepAlive: true, maxSockets: CONNECTIONS });
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < REQUESTS; index = next++) {
      const { path, status } = requestOf(server, index);
      assert.equal(await fetchStatus(port, `${path}?n=${index}`, agent), status, path);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  agent.destroy();
}

function assertSpans(spans: readonly Span[], server: Server, hasRoutes: boolean): void {
  const byNumber = new Map<number, Span[]>();
  for (const span of spans) {
    const number = Number(/^n=(\d+)$/.exec(`${span.attributes['url.query']}`)?.[1] ?? -1);
    byNumber.set(number, [...(byNumber.get(number) ?? []), span]);
  }
  assert.deepEqual(byNumber.get(-1) ?? [], [], 'spans that no request asked for');
  for (let index = 0; index < REQUESTS; index++) {
    const [span, ...others] = byNumber.get(index) ?? [];
    assert.ok(span, `no span for request ${index}`);
    assert.deepEqual(others, []);
    assert.deepEqual(essence(span), wanted(requestOf(server, index), hasRoutes));
  }
}

const essence = ({ kind, name, statusCode, attributes }: Span) => ({
  kind,
  name,
  statusCode,
  method: attributes['http.request.method'],
  path: attributes['url.path'],
  status: attributes['http.response.status_code'],
  route: attributes['http.route'],
});

function wanted({ path, status, route }: Request, hasRoutes: boolean) {
  const shown = hasRoutes ? route : undefined;
  const name = shown === undefined ? 'GET' : `GET ${shown}`;
  return { kind: 2, name, statusCode: 0, method: 'GET', path, status, route: shown };
}

test('hyper in an extension module of Python is recognised and planned for', async () => {
  const plan = await planOf(foreignProgram('granian'));
  const hyper = plan.libraries.find(({ name }) => name === 'hyper');
  assert.equal(hyper?.version, '1.12.0');
});

if (ALL)
  test('95 MB without unwind tables are planned for: nothing that needs a site is promised', async () => {
    const plan = await planOf(foreignProgram('deno'));
    assert.deepEqual(plan.probes, []);
    assert.ok(plan.libraries.some(({ name }) => name === 'hyper'));
    const library = plan.sources.filter(({ source }) => source === 'library');
    assert.deepEqual(library, []);
  });

test('a Rust program without a network gives nothing', async () => {
  assert.deepEqual(await probesOf(foreignProgram('ripgrep')), []);
});

test('a C program gives nothing', async () => {
  await assert.rejects(planOf('/bin/ls'), UserError);
});

/** Sites other than that of panics, which every program has; a program that is refused has none. */
async function probesOf(path: string): Promise<readonly string[]> {
  try {
    const { probes } = await planOf(path);
    return probes.map(({ hook }) => hook).filter((hook) => hook !== 'std.rust_panic');
  } catch (error) {
    if (error instanceof UserError) return [];
    throw error;
  }
}
