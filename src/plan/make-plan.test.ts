import assert from 'node:assert/strict';
import test from 'node:test';
import type { BinaryFacts, CodeRange, CodeReader } from '../analysis/facts.ts';
import { fileOffset, svma } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { context, crate, factsWith, functionAt } from './facts-for-tests.ts';
import { makePlan } from './make-plan.ts';
import type { Datum, Plan, Tier } from './plan.ts';

/** `push rbp; ret` wherever it is asked for. */
const readCode: CodeReader = (start, size) => ({
  svma: start,
  fileOffset: fileOffset(start - 0x100),
  bytes: Uint8Array.of(0x55, 0xc3, 0xcc, 0xcc).subarray(0, size),
});

const plan = (facts: BinaryFacts, tier: Tier = 'auto'): Plan => makePlan({ facts, readCode }, tier);
const sourceOf = (made: Plan, datum: Datum) => made.sources.find((choice) => choice.datum === datum);
const programs = (made: Plan) => made.probes.map(({ program }) => program);

const axumTls = factsWith({
  crates: [
    crate('axum', '0.8.9'),
    crate('hyper', '1.12.0'),
    crate('tokio', '1.54.1'),
    crate('rustls', '0.23.46'),
  ],
  functions: {
    'hyper.server.parse': [functionAt('parse', 0x2000)],
    'hyper.server.encode': [functionAt('encode', 0x3000)],
    'axum.set_matched_path': [functionAt('set_matched_path', 0x4000)],
    'std.rust_panic': [functionAt('rust_panic', 0x5000)],
    'tokio.multi_thread': [functionAt('worker', 0x6000)],
    'tls.rustls': [functionAt('rustls::server::hs::ExpectClientHello', 0x7000)],
  },
  tlsVariables: { 'tokio.context': [context(80)] },
});
const { 'tls.rustls': _, ...withoutTls } = axumTls.functions;
const axumPlain = { ...axumTls, functions: withoutTls };

test('an axum server with TLS: every datum, one probe for each', () => {
  const made = plan(axumTls);
  assert.deepEqual(
    made.sources.map(({ datum, source }) => [datum, source]),
    [
      ['http.server.plaintext', 'socket'],
      ['http.server.tls', 'library'],
      ['http.route', 'library'],
      ['http.client.plaintext', 'socket'],
      ['http.client.tls', 'none'],
      ['http.client.call', 'none'],
      ['http2.server', 'none'],
      ['http2.client', 'none'],
      ['rpc.call', 'none'],
      ['tokio.task', 'tls-slot'],
      ['tokio.spawn', 'none'],
      ['panic', 'library'],
    ],
  );
  assert.deepEqual(programs(made), [
    'hyper_server_parse',
    'hyper_server_encode',
    'axum_set_matched_path',
    'rust_panic',
  ]);
  assert.equal(made.probes[0]?.fileOffset, 0x1f00);
  assert.equal(made.taskSlot?.threadPointerOffset, 0x30 - 0x100);
  assert.deepEqual(made.missing, []);
});

test('without a TLS server nothing pays for parse and encode', () => {
  const made = plan(axumPlain);
  assert.deepEqual(programs(made), ['axum_set_matched_path', 'rust_panic']);
  assert.equal(made.layout, undefined);
  assert.deepEqual(sourceOf(made, 'http.server.tls'), {
    datum: 'http.server.tls',
    source: 'none',
    reason: 'no TLS server library is linked',
  });
});

test('the tiers that can be forced', () => {
  const library = plan(axumPlain, 'library');
  assert.equal(sourceOf(library, 'http.server.plaintext')?.source, 'library');
  assert.equal(library.probes.length, 4);
  const socket = plan(axumTls, 'socket');
  assert.equal(sourceOf(socket, 'http.server.tls')?.source, 'none');
  assert.deepEqual(programs(socket), ['axum_set_matched_path', 'rust_panic']);
});

test('the library tier on a server without hyper says so', () => {
  const actix = factsWith({ crates: [crate('actix-http', '3.9.0'), crate('tokio', '1.54.1')] });
  const made = plan(actix, 'library');
  assert.deepEqual(sourceOf(made, 'http.server.plaintext'), {
    datum: 'http.server.plaintext',
    source: 'none',
    reason: 'the library tier was asked for, but hyper was not found in it',
  });
});

test('a stripped program keeps its plaintext spans and says what stripping took', () => {
  const made = plan({
    ...axumTls,
    symbols: { symtab: 0, dynsym: 10, debugFile: 0, debugFilePath: undefined },
    functions: {},
    tlsVariables: {},
  });
  assert.equal(sourceOf(made, 'http.server.plaintext')?.source, 'socket');
  assert.deepEqual(made.probes, []);
  assert.deepEqual(
    made.missing.map(({ hook }) => hook),
    [
      'hyper.server.parse',
      'hyper.server.encode',
      'axum.set_matched_path',
      'tokio.task_slot',
      'std.rust_panic',
    ],
  );
  for (const { reason } of made.missing) assert.match(reason, /stripped/);
});

test('a route without the task it belongs to is not taken', () => {
  const made = plan({ ...axumPlain, tlsVariables: {} });
  assert.equal(sourceOf(made, 'http.route')?.source, 'none');
  assert.equal(made.routeTable, undefined);
});

test('code that is not in the file is a missing hook, not a failure', () => {
  const made = makePlan({ facts: axumTls, readCode: () => undefined }, 'auto');
  assert.deepEqual(made.probes, []);
  assert.match(made.missing[0]?.reason ?? '', /the code of parse is not in the file/);
});

test('not Rust, or surely no server: a UserError that lists what it holds', () => {
  assert.throws(() => plan(factsWith({ isRust: false })), UserError);
  assert.throws(() => plan(factsWith({ crates: [crate('clap', '4.0.1'), crate('regex', undefined)] })), {
    name: 'UserError',
    message: /without any library we know and without a network socket; it holds only clap 4\.0\.1, regex$/,
  });
  assert.throws(() => plan(factsWith({})), /it holds no crates at all/);
});

test('anything that may listen is not refused', () => {
  const stripped = { symtab: 0, dynsym: 0, debugFile: 0, debugFilePath: undefined };
  const accept = { 'libc.accept': [functionAt('accept4', 0x2000)] };
  const listener = { 'std.socket': [functionAt('std::net::tcp::TcpListener::bind', 0x2000)] };
  for (const facts of [
    { symbols: stripped },
    { functions: accept },
    { functions: listener },
    { crates: [crate('mio', '1.0.0')] },
  ])
    assert.equal(sourceOf(plan(factsWith(facts)), 'http.server.plaintext')?.source, 'socket');
});

test('two hypers of which axum tells the serving one', () => {
  const both = { ...axumTls, crates: [...axumTls.crates, crate('hyper', '0.14.32')] };
  assert.equal(plan(both).layout?.parseContextReqMethod, 40);
  const unclear = { ...both, crates: both.crates.filter(({ name }) => name !== 'axum') };
  assert.match(
    sourceOf(plan(unclear), 'http.server.tls')?.reason ?? '',
    /hyper 1\.12\.0 and 0\.14\.32 are both linked/,
  );
});

test('more functions of one name than any program has: none is probed', () => {
  const many = Array.from({ length: 9 }, (_, index) => functionAt('rust_panic', 0x5000 + index * 16));
  const made = plan({ ...axumPlain, functions: { ...withoutTls, 'std.rust_panic': many } });
  assert.deepEqual(made.missing, [
    { hook: 'std.rust_panic', reason: '9 functions are named rust_panic, more than 8' },
  ]);
});

test('a function that the linker folded with another gets one probe, two of one name get two', () => {
  const folded = [functionAt('rust_panic', 0x5000), functionAt('__rustc::rust_panic', 0x5000)];
  const two = [functionAt('rust_panic', 0x5000), functionAt('rust_panic', 0x5100)];
  const panics = (functions: typeof two) =>
    plan({ ...axumPlain, functions: { ...withoutTls, 'std.rust_panic': functions } }).probes.length - 1;
  assert.equal(panics(folded), 1);
  assert.equal(panics(two), 2);
});

const drop =
  'core::ptr::drop_in_place<hyper_util::client::legacy::client::Client<C,B>::send_request::{{closure}}>';
const DOMAIN = 'hyper_util::client::legacy::client::extract_domain';

const client = factsWith({
  crates: [crate('hyper', '1.12.0'), crate('http', '1.5.0'), crate('tokio', '1.54.1')],
  functions: {
    'hyper.client.domain': [functionAt(DOMAIN, 0x2000)],
    'hyper.client.encode': [functionAt('encode', 0x3000)],
    'hyper.client.parse': [functionAt('parse', 0x4000)],
    'hyper.client.future': [functionAt(drop, 0x5000), functionAt(drop, 0x5100)],
    'tokio.multi_thread': [functionAt('worker', 0x6000)],
    'tls.client.rustls': [functionAt('rustls::client::hs::ExpectServerHello', 0x7000)],
  },
  tlsVariables: { 'tokio.context': [context(80)] },
});
const withFunctions = (functions: BinaryFacts['functions']): BinaryFacts => ({
  ...client,
  functions: { ...client.functions, ...functions },
});

test('a client over TLS: the call, both ends of the wire, its end', () => {
  const made = plan(client);
  assert.equal(sourceOf(made, 'http.client.call')?.source, 'library');
  assert.equal(sourceOf(made, 'http.client.tls')?.source, 'library');
  assert.deepEqual(programs(made), [
    'hyper_client_call',
    'hyper_client_encode',
    'hyper_client_parse',
    'hyper_client_drop',
    'hyper_client_drop',
  ]);
  assert.equal(made.probes[0]?.offset, 96, 'the Uri lies behind the headers');
  assert.equal(made.probes[3]?.offset, 0xffff, 'push rbp; ret looks at no state');
  assert.equal(made.clientLayout?.requestPath, 152);
  assert.equal(made.layout?.bytesMutLength, 8);
});

test('a client without TLS pays for no parse; every tier keeps its callers', () => {
  const plain = withFunctions({ 'tls.client.rustls': [] });
  assert.equal(programs(plan(plain)).includes('hyper_client_parse'), false);
  assert.equal(sourceOf(plan(plain), 'http.client.tls')?.reason, 'no TLS client library is linked');
  assert.equal(programs(plan(plain, 'library')).includes('hyper_client_parse'), true);
  assert.equal(sourceOf(plan(client, 'socket'), 'http.client.call')?.source, 'library');
  assert.equal(sourceOf(plan(client, 'socket'), 'http.client.tls')?.source, 'none');
});

test('extract_domain inlined: what is handed the request, and what that misses is said', () => {
  const request = 'hyper_util::client::legacy::client::Client<C,B>::request';
  const inlined = withFunctions({
    'hyper.client.domain': [],
    'hyper.client.request': [functionAt(request, 0x2100), functionAt(request, 0x2200)],
    'hyper.client.get': [functionAt('hyper_util::client::legacy::client::Client<C,B>::get', 0x2300)],
  });
  const made = plan(inlined);
  assert.deepEqual(
    made.probes.filter(({ program }) => program === 'hyper_client_call').map(({ offset }) => offset),
    [undefined, undefined],
  );
  assert.match(made.missing[0]?.reason ?? '', /Client<C,B>::get makes requests of its own/);
});

test('hyper 0.14 beside hyper-util: the outer future of each', () => {
  const outer =
    'core::ptr::drop_in_place<hyper::client::client::Client<C>::retryably_send_request::{{closure}}>';
  const inner = 'core::ptr::drop_in_place<hyper::client::client::Client<C>::send_request::{{closure}}>';
  const both = withFunctions({
    'hyper.client.future': [functionAt(drop, 0x5000), functionAt(inner, 0x5200)],
    'hyper.client.retry_future': [functionAt(outer, 0x5300)],
  });
  const drops = plan(both).probes.filter(({ program }) => program === 'hyper_client_drop');
  assert.deepEqual(
    drops.map(({ functionName }) => functionName),
    [drop, outer],
  );
});

test('clients of two generations whose layouts differ: no calls, and the reason', () => {
  const both = { ...client, crates: [...client.crates, crate('hyper', '0.14.32')] };
  const made = plan(both);
  assert.match(sourceOf(made, 'http.client.call')?.reason ?? '', /several versions of hyper are linked/);
  assert.equal(programs(made).includes('hyper_client_call'), false);
});

test('task ids: a counter that is not found, and one that is used in an unknown way', () => {
  assert.match(sourceOf(plan(client), 'tokio.spawn')?.reason ?? '', /counter of task ids was not found/);
  const name = 'tokio::runtime::task::id::Id::next::NEXT_ID';
  const users = [functionAt('tokio::task::spawn::spawn', 0x2000)];
  const counter = { name, svma: svma(0x9000), size: 8, source: 'symtab' as const, pointers: [], users };
  const found = plan({ ...client, objects: { 'tokio.next_id': [counter] } });
  assert.match(
    sourceOf(found, 'tokio.spawn')?.reason ?? '',
    /uses the counter of task ids in an unknown way/,
  );
  const two = plan({ ...client, objects: { 'tokio.next_id': [counter, counter] } });
  assert.match(sourceOf(two, 'tokio.spawn')?.reason ?? '', /several versions of Tokio/);
});

test('a program that only calls is traced', () => {
  const ureq = factsWith({ crates: [crate('ureq', '3.1.0')] });
  assert.equal(sourceOf(plan(ureq), 'http.client.plaintext')?.source, 'socket');
});

const h2Functions = {
  'h2.Recv.recv_headers': [functionAt('recv_headers', 0x10000)],
  'h2.Recv.recv_trailers': [functionAt('recv_trailers', 0x10100)],
  'h2.Recv.take_request': [functionAt('take_request', 0x10200)],
  'h2.Recv.enqueue_reset_expiration': [functionAt('enqueue_reset_expiration', 0x10300)],
  'h2.Send.send_headers': [functionAt('send_headers', 0x10400), functionAt('send_headers', 0x10500)],
  'h2.Send.send_trailers': [functionAt('send_trailers', 0x10600), functionAt('send_trailers', 0x10700)],
  'h2.Send.send_reset': [functionAt('send_reset', 0x10800)],
  'h2.StreamRef.send_trailers': [functionAt('ref_trailers', 0x10900), functionAt('ref_trailers', 0x10a00)],
  'h2.DynStreams.recv_reset': [functionAt('recv_reset', 0x10b00)],
  'h2.DynStreams.recv_eof': [functionAt('recv_eof', 0x10c00)],
  'h2.DynStreams.handle_error': [functionAt('handle_error', 0x10d00)],
  'h2.DynStreams.recv_go_away': [functionAt('recv_go_away', 0x10e00)],
  'h2.server': [functionAt('h2::server::Connection', 0x10f00)],
};
const grpc = factsWith({
  crates: [
    crate('h2', '0.4.20'),
    crate('http', '1.3.1'),
    crate('hyper', '1.12.0'),
    crate('tonic', '0.14.9'),
    crate('tokio', '1.54.1'),
  ],
  functions: {
    ...h2Functions,
    'h2.client': [functionAt('h2::client::Connection', 0x11000)],
    'tonic.call': [functionAt('call', 0x11100)],
    'tonic.drop': [functionAt('drop', 0x11200)],
  },
});
const { 'h2.Recv.recv_headers': __, ...withoutHeaders } = grpc.functions;
const streamProbes = (made: Plan) => made.probes.filter(({ program }) => /^(h2|tonic)_/.test(program));

test('gRPC: both sides of h2, whose calls they are, and the layout', () => {
  const made = plan(grpc);
  for (const datum of ['http2.server', 'http2.client', 'rpc.call'] as const)
    assert.equal(sourceOf(made, datum)?.source, 'library', datum);
  const counts = new Map<string, number>();
  for (const { program } of streamProbes(made)) counts.set(program, (counts.get(program) ?? 0) + 1);
  assert.deepEqual(Object.fromEntries(counts), {
    h2_recv_headers: 1,
    h2_recv_trailers: 1,
    h2_send_headers: 2,
    h2_send_reset: 1,
    h2_cancel: 1,
    h2_recv_reset: 1,
    h2_closed: 2,
    h2_go_away: 1,
    h2_send_trailers: 2,
    h2_take_request: 1,
    tonic_call: 1,
    tonic_drop: 1,
  });
  assert.equal(made.streamLayout?.entrySize, 104);
  assert.equal('refStore' in (made.streamLayout ?? {}), false);
});

test('a function that is handed parts of DynStreams is not probed, nor one beside it that does not tell', () => {
  const looks = (at: number, size: number, code: string): CodeRange => ({
    svma: svma(at),
    fileOffset: fileOffset(at),
    bytes: Uint8Array.from({ length: size }, (_, i) => Buffer.from(code, 'hex')[i] ?? 0x90),
  });
  const [throughPointer, lock, nothing] = ['488b07488b4708c3', '488b47185bc3', '53c3'];
  const probed = (code: Readonly<Record<number, string>>): number[] =>
    makePlan({ facts: several, readCode: (at, size) => looks(at, size, code[at] ?? '53c3') }, 'auto')
      .probes.filter(({ program }) => program === 'h2_closed')
      .map((probe) => probe.svma);
  const several = {
    ...grpc,
    functions: {
      ...grpc.functions,
      'h2.DynStreams.recv_eof': [functionAt('recv_eof', 0x10c00, 16), functionAt('recv_eof', 0x10c40, 16)],
      'h2.DynStreams.handle_error': [],
    },
  };
  assert.deepEqual(probed({ 68608: throughPointer, 68672: nothing }), [0x10c00, 0x10c40]);
  assert.deepEqual(probed({ 68608: lock, 68672: throughPointer }), [0x10c40]);
  assert.deepEqual(probed({ 68608: lock, 68672: nothing }), []);
});

test('trailers of an inlined function are taken in its caller, all of them', () => {
  const trailers = (instances: number) =>
    plan({
      ...grpc,
      functions: {
        ...grpc.functions,
        'h2.Send.send_trailers': (grpc.functions['h2.Send.send_trailers'] ?? []).slice(0, instances),
      },
    })
      .probes.filter(({ program }) => program === 'h2_send_trailers')
      .map(({ functionName, register, offset }) => ({ functionName, register, offset }));
  const caller = { functionName: 'ref_trailers', register: 0x76, offset: 472 };
  assert.deepEqual(trailers(0), [caller, caller]);
  assert.deepEqual(trailers(1), [caller, caller]);
  assert.deepEqual(trailers(2)[0], { functionName: 'send_trailers', register: 0x16, offset: undefined });
});

test('a server without calls and routes: nobody asks which task works for a request', () => {
  const made = plan({
    ...grpc,
    crates: grpc.crates.filter(({ name }) => name !== 'tonic'),
    functions: h2Functions,
  });
  assert.equal(sourceOf(made, 'http2.server')?.source, 'library');
  assert.deepEqual(sourceOf(made, 'http2.client'), {
    datum: 'http2.client',
    source: 'none',
    reason: 'only the server side of h2 is linked',
  });
  assert.equal(programs(made).includes('h2_take_request'), false);
});

test('h2 that is linked and makes no connection, inlined headers, unknown versions', () => {
  const unused = plan({ ...grpc, functions: { 'tonic.call': [functionAt('call', 0x11100)] } });
  assert.deepEqual(streamProbes(unused), []);
  assert.deepEqual(
    unused.missing.filter(({ hook }) => hook.startsWith('h2.')).map(({ hook }) => hook),
    ['h2.recv_headers'],
  );
  const inlined = plan({ ...grpc, functions: withoutHeaders });
  assert.match(sourceOf(inlined, 'http2.server')?.reason ?? '', /h2\.recv_headers not found: .*inlined/);
  assert.deepEqual(streamProbes(inlined), []);
  const old = plan({ ...grpc, crates: [crate('h2', '0.2.7'), crate('http', '0.2.12')] });
  assert.match(sourceOf(old, 'http2.client')?.reason ?? '', /h2 0\.2\.7 is older/);
  assert.equal(old.streamLayout, undefined);
});

test('the socket tier leaves h2 alone', () => {
  const made = plan(grpc, 'socket');
  assert.deepEqual(streamProbes(made), []);
  assert.match(sourceOf(made, 'rpc.call')?.reason ?? '', /socket tier/);
});
