import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Child } from './support/child.ts';
import { problemText, requestId } from './support/compare.ts';
import { expectedRoute } from './support/expect.ts';
import { GrpcSession } from './support/grpc-session.ts';
import type { Span } from './support/otlp.ts';
import { Session } from './support/session.ts';

/** Each connection asks for the same paths, in the same order. */
const [CONNECTIONS, STREAMS, PATHS] = [8, 32, 1_250];
const REQUESTS = CONNECTIONS * PATHS;

for (const program of ['h2axum08', 'h2axum06'] as const) {
  for (const tls of [false, true]) {
    test(`${program}${tls ? ' over TLS' : ''} under h2load: one right span a request`, async () => {
      using session = await Session.start({ program, tls });
      const { scratch, target } = session;
      const ids = Array.from({ length: PATHS }, (_, index) => `h2load-${index}`);
      const paths = ids.map((id) => `${tls ? 'https' : 'http'}://127.0.0.1:${target.port}/users/${id}?n=1`);
      const file = scratch.file('paths');
      writeFileSync(file, `${paths.join('\n')}\n`);
      await h2load(['-i', file]);
      assertRequests(await session.finish(), new Set(ids), {
        'http.request.method': 'GET',
        'http.response.status_code': 200,
        'http.route': expectedRoute(program, 'users'),
        'url.query': 'n=1',
        'url.scheme': tls ? 'https' : 'http',
        'network.protocol.version': '2',
        'server.port': target.port,
        'user_agent.original': 'h2load nghttp2/',
      });
    });
  }
}

for (const program of ['grpc14', 'grpc10'] as const) {
  test(`${program} under h2load: one right span a call`, async () => {
    using session = await GrpcSession.start({ program });
    const file = session.target.executable.replace(/[^/]*$/, 'message');
    writeFileSync(file, MESSAGE);
    const url = `http://127.0.0.1:${session.port}/fixture.v1.Fixture/Unary`;
    const headers = ['content-type: application/grpc', 'te: trailers', 'x-id: h2load', 'x-do: ok'];
    await h2load([...headers.flatMap((header) => ['-H', header]), '-d', file, url]);
    const problems = (await session.finish()).flatMap((span) =>
      differences(span, {
        'rpc.method': 'fixture.v1.Fixture/Unary',
        'rpc.response.status_code': 'OK',
        'server.port': session.port,
      }),
    );
    assert.equal(problems.length, REQUESTS);
    assert.deepEqual(problems.filter(Boolean), []);
  });
}

/** A gRPC message that is not compressed and has no bytes: an Ask whose members have their defaults. */
const MESSAGE = Uint8Array.of(0, 0, 0, 0, 0);

async function h2load(args: readonly string[]): Promise<void> {
  const counts = ['-n', `${REQUESTS}`, '-c', `${CONNECTIONS}`, '-m', `${STREAMS}`];
  using child = new Child('h2load', [...counts, ...args]);
  const { code } = await child.ended;
  assert.equal(code, 0, child.stderr);
  assert.match(child.stdout, new RegExp(`status codes: ${REQUESTS} 2xx`), child.stdout);
}

type Wanted = Readonly<Record<string, string | number | undefined>>;

function assertRequests(spans: readonly Span[], ids: ReadonlySet<string>, wanted: Wanted): void {
  const counts = new Map<string, number>();
  for (const span of spans) counts.set(requestId(span), (counts.get(requestId(span)) ?? 0) + 1);
  const problems = [
    ...[...ids]
      .filter((id) => counts.get(id) !== CONNECTIONS)
      .map((id) => `${counts.get(id)} spans of ${id}`),
    ...[...counts.keys()].filter((id) => !ids.has(id)).map((id) => `no request is ${id}`),
    ...spans.flatMap((span) => differences(span, wanted)).filter(Boolean),
  ];
  if (problems.length > 0) assert.fail(problemText(problems));
}

/** What is wrong with a SERVER span; an empty text when nothing is. */
function differences({ kind, statusCode, parentSpanId, attributes }: Span, wanted: Wanted): string {
  const different = Object.entries(wanted).filter(([key, value]) =>
    key === 'user_agent.original'
      ? !String(attributes[key]).startsWith(`${value}`)
      : attributes[key] !== value,
  );
  const text = different.map(([key]) => `${key} is ${attributes[key]}`);
  if (kind !== 2 || statusCode !== 0 || parentSpanId !== '')
    text.push(`kind ${kind}, status ${statusCode}, parent ${parentSpanId}`);
  return text.join(', ');
}
