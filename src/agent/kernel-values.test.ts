import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileOffset, svma } from '../base/address.ts';
import { standardHeaderName } from '../base/standard-headers.ts';
import { binaryLayout, TARGET_FLAG, target } from '../events/layout.ts';
import type { Datum, Plan, ProgramName } from '../plan/plan.ts';
import { decodeUse, encodeLayout, encodeTarget, probeCookie, type TargetChoice } from './kernel-values.ts';

const SERVER: readonly ProgramName[] = ['hyper_server_parse', 'hyper_server_encode'];
const CLIENT: readonly ProgramName[] = ['hyper_client_call', 'hyper_client_encode', 'hyper_client_parse'];

function plan(programs: readonly ProgramName[], parts: Partial<Plan> = {}): Plan {
  return {
    formatVersion: 1,
    binary: { buildId: undefined, fileSize: 0, rustcVersion: undefined, rustcCommit: undefined },
    libraries: [],
    sources: [],
    probes: programs.map((program) => ({
      hook: program,
      program,
      svma: svma(0),
      fileOffset: fileOffset(0),
      functionName: '',
      functionOffset: 0,
      instruction: '',
      cost: 'emulated',
      evidence: '',
    })),
    injection: { sites: [] },
    layout: undefined,
    clientLayout: undefined,
    streamLayout: undefined,
    layoutEvidence: {},
    taskSlot: undefined,
    routeTable: undefined,
    missing: [],
    ...parts,
  };
}

const AUTO: TargetChoice = {
  tier: 'auto',
  socketTier: true,
  inject: false,
  injectTls: false,
  parked: { server: false, client: false, blocking: false, tasks: false },
};
const HYPER = [{ name: 'hyper', version: '1.0.0', evidence: '' }];

/** Names of the flags that are set. */
function flags(of: Plan, choice: Partial<TargetChoice> = {}): string[] {
  const value = encodeTarget(of, { layoutIndex: 7, slotSite: 3 }, { ...AUTO, ...choice });
  assert.equal(value.readUInt32LE(target.layout), 7);
  const bits = value.readUInt32LE(target.flags);
  return Object.entries(TARGET_FLAG).flatMap(([name, bit]) => (bits & bit ? [name] : []));
}

test('without any library: sockets, and whoever writes a request makes it', () => {
  assert.deepEqual(flags(plan([])), ['SOCKET', 'CONTEXTS', 'CLIENT_SOCKET', 'WRITER_CONTEXT']);
  assert.deepEqual(flags(plan([]), { socketTier: false }), []);
});

test('parser and encoder know a connection by the same: both inlined, or the encoder a function', () => {
  const library = (...programs: readonly ProgramName[]) => {
    const all = flags(plan(programs));
    return ['LIBRARY', 'CLIENT_LIBRARY'].filter((name) => all.includes(name));
  };
  assert.deepEqual(library('hyper_server_parse_at', 'hyper_server_write_head'), ['LIBRARY']);
  assert.deepEqual(library('hyper_server_parse_at', 'hyper_server_encode'), ['LIBRARY']);
  assert.deepEqual(library('hyper_server_parse', 'hyper_server_write_head'), []);
  assert.deepEqual(library('hyper_client_parse_at', 'hyper_client_write_head'), ['CLIENT_LIBRARY']);
  assert.deepEqual(library('hyper_client_parse_at', 'hyper_client_encode'), ['CLIENT_LIBRARY']);
  assert.deepEqual(library('hyper_client_parse', 'hyper_client_write_head'), []);
});

test("hyper's clients: who makes a request is known when all of them are probed", () => {
  const all = [
    'SOCKET',
    'CONTEXTS',
    'CLIENT_SOCKET',
    'CLIENT_LIBRARY',
    'CALLS',
    'WRITER_CONTEXT',
    'WRITES_SEEN',
  ];
  const libraries = HYPER;
  assert.deepEqual(flags(plan(CLIENT, { libraries })), all);
  const missing = [{ hook: 'hyper.client.encode', reason: 'one of two functions has no site' }];
  assert.equal(flags(plan(CLIENT, { libraries, missing })).includes('WRITER_CONTEXT'), false);
  assert.equal(flags(plan([], { libraries })).includes('WRITER_CONTEXT'), false);
  const withH2 = [...libraries, { name: 'h2', version: '0.4.20', evidence: '' }];
  const seesWrites = (...more: ProgramName[]) =>
    flags(plan([...CLIENT, ...more], { libraries: withH2 })).includes('WRITES_SEEN');
  assert.deepEqual([seesWrites(), seesWrites('h2_send_request')], [false, true]);
});

test('tiers', () => {
  const both = plan([...SERVER, ...CLIENT], { libraries: HYPER });
  const sockets = ['SOCKET', 'CLIENT_SOCKET', 'WRITER_CONTEXT'];
  const plaintext = ['LIBRARY_PLAINTEXT', 'CLIENT_LIBRARY_PLAINTEXT'];
  const inLibrary = ['LIBRARY', 'CLIENT_LIBRARY', 'CALLS', 'CONTEXTS', 'WRITES_SEEN'];
  const set = (choice: Partial<TargetChoice>) => flags(both, choice).sort();
  assert.deepEqual(set({}), [...sockets, ...inLibrary].sort());
  assert.deepEqual(set({ tier: 'library' }), [...plaintext, ...inLibrary].sort());
  assert.deepEqual(set({ socketTier: false }), [...plaintext, ...inLibrary].sort());
});

test('each side is parked by itself', () => {
  const both = plan([...SERVER, ...CLIENT]);
  const tls = (parked: Partial<TargetChoice['parked']>) =>
    flags(both, { parked: { ...AUTO.parked, ...parked } }).filter((name) => /TLS|LIBRARY/.test(name));
  assert.deepEqual(tls({ server: true }), ['WATCH_TLS', 'CLIENT_LIBRARY']);
  assert.deepEqual(tls({ client: true }), ['LIBRARY', 'WATCH_CLIENT_TLS']);
  assert(
    flags(both, { parked: { ...AUTO.parked, server: true, client: true, blocking: true } }).includes('CALLS'),
  );
});

test("the client's layout", () => {
  const clientLayout = {
    clientEncodeHead: 1,
    clientEncodeReqMethod: 2,
    clientHeadEntries: 3,
    clientHeadPath: 4,
    clientParseReqMethod: 5,
    requestMethod: 6,
    requestScheme: 7,
    requestAuthority: 8,
    requestPath: 9,
    requestEntries: 10,
    requestEntriesLength: 11,
    requestEntriesCapacity: 12,
  };
  const value = encodeLayout(plan([], { clientLayout }), []);
  for (const [name, offset] of Object.entries(clientLayout)) {
    const field = binaryLayout[name as keyof typeof clientLayout];
    assert.equal(value.readUInt16LE(field), offset, name);
  }
});

const streamLayout = {
  entrySize: 104,
  entryName: 2,
  entryNameCustom: 3,
  entryNameTag: 4,
  entryValue: 5,
  frameEntries: 6,
  frameEntriesLength: 7,
  frameMethod: 8,
  frameScheme: 10,
  frameAuthority: 11,
  framePath: 12,
  frameProtocol: 13,
  frameTextPresent: 0xfff8,
  frameStatus: 15,
  streamStore: 16,
  streamId: 17,
  streamsInner: 18,
  innerStore: 19,
  goAwayLastId: 20,
};

test('the layout of streams, and which standard headers are sent', () => {
  const value = encodeLayout(plan([], { streamLayout }), ['Accept', 'x-custom', 'via']);
  for (const [name, offset] of Object.entries(streamLayout)) {
    const field = binaryLayout[name as keyof typeof streamLayout];
    assert.equal(value.readUInt16LE(field), offset, name);
  }
  const wanted = (direction: number) =>
    [...Array(128).keys()].flatMap((number) => {
      const word = 8 * (2 * direction + (number < 64 ? 0 : 1));
      const half = value.readBigUInt64LE(binaryLayout.standardHeaders + word);
      return (half >> BigInt(number % 64)) & 1n ? [standardHeaderName(number)] : [];
    });
  const received = ['content-type', 'forwarded', 'host', 'location', 'user-agent'];
  assert.deepEqual(wanted(0).sort(), [...received, 'accept', 'via'].sort());
  assert.deepEqual(wanted(1).sort(), ['content-type', 'host', 'accept', 'via'].sort());
});

test('streams: a flag for each side that is probed', () => {
  const sources = (...data: readonly Datum[]) =>
    data.map((datum) => ({ datum, source: 'library' as const, reason: '' }));
  const of = (...data: readonly Datum[]) =>
    flags(plan([], { streamLayout, sources: sources(...data) }), { socketTier: false });
  assert.deepEqual(of('http2.server'), ['STREAMS']);
  assert.deepEqual(of('http2.client'), ['CONTEXTS', 'CLIENT_STREAMS']);
  assert.deepEqual(of('http2.server', 'rpc.call'), ['CONTEXTS', 'STREAMS']);
  assert.deepEqual(flags(plan([], { sources: sources('http2.server') }), { socketTier: false }), []);
});

test('cookies carry a register and an offset beside the layout', () => {
  assert.equal(probeCookie(7, 0), 7n);
  assert.equal(probeCookie(7, 0x1234, { register: 11 }), 0xb_0000_1234_0007n);
  assert.equal(probeCookie(7, 0, { register: 1, offset: 0xffff }), 0x1_ffff_0000_0007n);
});

test('what a process has done without parkable probes and in need of them', () => {
  const value = Buffer.alloc(target.size);
  const { plaintext, tls, clientPlaintext, clientTls, executed, tasks, inheriting } = target;
  const fields = [plaintext, tls, clientPlaintext, clientTls, executed, tasks, inheriting];
  for (const [i, field] of fields.entries()) value.writeUInt32LE(i + 1, field);
  assert.deepEqual(decodeUse(value), {
    server: { without: 1, needing: 2 },
    client: { without: 3, needing: 4 },
    blocking: { without: 5, needing: 0 },
    tasks: { without: 6, needing: 7 },
  });
});
