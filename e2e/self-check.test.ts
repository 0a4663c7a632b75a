import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CallSession } from './support/call-session.ts';
import { QUICK } from './support/calls.ts';
import { GrpcSession } from './support/grpc-session.ts';
import { type LoadRecord, runLoad } from './support/load.ts';
import type { Span } from './support/otlp.ts';
import { pause } from './support/raw-client.ts';
import { Session } from './support/session.ts';

const SERVER = 2;
const STATUS = 'http.response.status_code';
/** The load goes on long after the mistake was found. */
const REQUESTS = 3_000;
/** Quick ones: the agent finds its mistake after more of them. */
const TLS_REQUESTS = 6_000;
const CONCURRENCY = 32;

interface Case {
  /** See support/wrong-plans.ts. */
  readonly change: string;
  /** What the agent must say that it has switched off, and what is gone with it. */
  readonly off: RegExp;
}

const said = (text: string, { off }: Case) => {
  assert.match(text, off, text);
  assert.match(text, /hooks switched off \d/);
};

// ---- a server under TLS: only hyper's hooks see it ----

const TLS: readonly Case[] = [
  {
    change: 'site:hyper.server.parse:hyper.server.encode',
    off: /switched off hyper\.server\.parse at 0x[0-9a-f]+ \(.*encode.*\): no pointer.* bytes [0-9a-f]+; 4 hits\); from now on http\.server\.tls: none/,
  },
  { change: 'site:hyper.server.encode:hyper.server.parse', off: /switched off hyper\.server\.encode/ },
  { change: 'layout:parseContextReqMethod:8', off: /switched off hyper\.server\.parse/ },
  { change: 'layout:bytesMutLength:8', off: /switched off hyper\.server\.parse/ },
  { change: 'layout:headStatus:8', off: /switched off hyper\.server\.encode.*no status from 100 to 999/ },
];

for (const one of TLS)
  test(`a server under TLS, ${one.change}: switched off, and no span says what was not so`, async () => {
    using session = await Session.start({ program: 'axum08', tls: true }, { change: one.change });
    const records = await runLoad(session.target, {
      ...{ count: TLS_REQUESTS, concurrency: CONCURRENCY, without: ['connect'] },
    });
    const spans = await session.finish();
    said(session.agent.child.stderr, one);
    assert(spans.length < TLS_REQUESTS / 10, `${spans.length} spans`);
    assertNothingWrong(spans, records);
  });

/** Each span is of a request that was made, and its status, when it has one, the request's. */
function assertNothingWrong(spans: readonly Span[], records: readonly LoadRecord[]): void {
  const asked = new Map(records.map((record) => [record.target.split('?')[0], record]));
  for (const span of spans) {
    const record = asked.get(String(span.attributes['url.path']));
    assert(record, `no request has the span ${JSON.stringify(span.attributes)}`);
    const status = span.attributes[STATUS];
    if (status !== undefined) assert.equal(status, record.status);
  }
}

// ---- a program that serves and calls: what sockets show goes on ----

const CALLS: readonly Case[] = [
  { change: 'slot:-8', off: /switched off Tokio's task slot.*no id of a task.*tokio\.task: none/ },
  { change: 'table:bucketMask:8', off: /switched off axum\.set_matched_path.*http\.route: none/ },
  { change: 'table:arcHeader:8', off: /switched off axum\.set_matched_path/ },
  { change: 'site:axum.set_matched_path:tokio.task_new', off: /switched off axum\.set_matched_path/ },
  { change: 'client:requestPath:8', off: /switched off hyper\.client\.call.*http\.client\.call: none/ },
  { change: 'client:requestEntries:8', off: /switched off hyper\.client\.call/ },
  { change: 'site:hyper.client.call:hyper.client.drop', off: /switched off hyper\.client\.call/ },
  { change: 'site:hyper.client.encode:hyper.client.drop', off: /switched off hyper\.client\.encode/ },
  { change: 'register:tokio.task_new:4', off: /switched off tokio\.task_new.*no id of a task/ },
];

for (const one of CALLS)
  test(`a program that calls, ${one.change}: switched off, no wrong parent, every request has its span`, async () => {
    using session = await CallSession.start({ program: 'client12', workers: 4 }, { change: one.change });
    const load = { shapes: QUICK, count: REQUESTS, concurrency: CONCURRENCY, prefix: 'm' };
    const records = await runLoad(session.target, load);
    await pause(300);
    const spans = await session.session.finish();
    said(session.session.agent.child.stderr, one);
    const servers = spans.filter(({ kind }) => kind === SERVER);
    assert.equal(servers.length, REQUESTS, 'sockets show every request');
    assertNothingWrong(servers, records);
    assertRightParents(spans);
    assertRightRoutes(servers);
  });

/** The downstream's paths are `/d/<id of the request>/…`: its caller's are `/<shape>/<id>`. */
function assertRightParents(spans: readonly Span[]): void {
  const servers = new Map(
    spans.flatMap((span) =>
      span.kind === SERVER ? [[span.spanId, String(span.attributes['url.path'])] as const] : [],
    ),
  );
  for (const span of spans) {
    if (span.kind === SERVER || span.parentSpanId === '') continue;
    const [, id] = /\/d\/([^/?]+)/.exec(String(span.attributes['url.full'])) ?? [];
    if (id === undefined || /shared|twin/.test(String(servers.get(span.parentSpanId)))) continue;
    assert.equal(
      servers.get(span.parentSpanId)?.split('/')[2],
      id,
      `parent of ${span.attributes['url.full']}`,
    );
  }
}

function assertRightRoutes(servers: readonly Span[]): void {
  for (const span of servers) {
    const route = span.attributes['http.route'];
    if (route !== undefined) assert.equal(route, '/{shape}/{id}');
  }
}

// ---- HTTP/2 ----

const STREAMS: readonly Case[] = [
  {
    change: 'stream:frameEntries:8',
    off: /switched off h2\.recv_headers.*http2\.server: none, http2\.client: none, rpc\.call: none/,
  },
  { change: 'stream:entryName:8', off: /switched off h2\.(?:recv|send)_headers/ },
  { change: 'stream:framePath:8', off: /switched off h2\.(?:recv|send)_headers/ },
  { change: 'stream:streamStore:8', off: /switched off h2\.(?:recv|send)_headers/ },
  { change: 'site:h2.recv_headers:h2.send_headers', off: /switched off h2\.recv_headers/ },
  { change: 'site:h2.send_headers:h2.recv_headers', off: /switched off h2\.send_headers/ },
];

for (const one of STREAMS)
  test(`gRPC, ${one.change}: switched off, no span of a request that was not made`, async () => {
    using session = await GrpcSession.start({ program: 'grpc14', change: one.change });
    const kinds = ['unary.ok', 'unary.call:one', 'unary.call:seq', 'unary.call:spawn'];
    const records = await session.runLoad({ kinds, count: 1_000, concurrency: CONCURRENCY });
    const spans = await session.finish();
    said(session.said, one);
    const servers = spans.filter(({ kind }) => kind === SERVER);
    assert(servers.length < records.length / 2, `${servers.length} SERVER spans`);
    for (const { attributes } of spans) {
      assert.equal(attributes['rpc.method'], 'fixture.v1.Fixture/Unary');
      const status = attributes['rpc.response.status_code'];
      if (status !== undefined) assert.equal(status, 'OK');
    }
  });

test('gRPC, a wrong hook for callers: calls are seen where their streams begin', async () => {
  const one = { change: 'site:tonic.call:h2.send_headers', off: /switched off tonic\.call.*rpc\.call: none/ };
  using session = await GrpcSession.start({ program: 'grpc14', change: one.change });
  const records = await session.runLoad({ kinds: ['unary.ok', 'unary.call:one'], count: 1_000 });
  const edges = session.compare(await session.finish(), records, { partial: true });
  said(session.said, one);
  assert.deepEqual({ ...edges, right: 0 }, { right: 0, wrong: 0, unknown: 0, missing: 0, extra: 0 });
});
