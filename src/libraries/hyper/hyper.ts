import type { BinaryFacts } from '../../analysis/facts.ts';
import { compareVersions, parseVersion } from '../../base/versions.ts';
import type { BinaryLayout } from '../../plan/plan.ts';
import { type LayoutRow, lookUp } from '../layout-table.ts';
import { cratesNamed, type Found, hasCrate, hasFunction, hasSymbols, type Library } from '../library.ts';
import { measured } from '../measured.ts';
import layouts from './layouts.json' with { type: 'json' };
import { serverCode, tokioSleep, transactionOf } from './recover.ts';

const SERVER_TRANSACTION = '<hyper::proto::h1::role::Server as hyper::proto::h1::Http1Transaction>';

const transaction = (method: 'parse' | 'encode') => ({
  id: `hyper.server.${method}`,
  kind: 'function' as const,
  contains: ['hyper', 'Server', 'Http1Transaction', method],
  pattern: new RegExp(`^${SERVER_TRANSACTION}::${method}$`),
  recovery: { kind: 'functions' as const, find: transactionOf('Server', method) },
  inlinedBeside: ['hyper.server.code'],
});

/**
 * HTTP/1 server side of hyper 0.14 and 1, above TLS.
 *
 *     fn parse(out rdi, buf: &mut BytesMut rsi, ctx: ParseContext rdx)    called again while a head is incomplete
 *     fn encode(out rdi, msg: Encode<StatusCode> rsi, dst: &mut Vec<u8> rdx)
 *
 * Both aggregates are passed by reference. `ctx.req_method` and `msg.req_method` are one connection's pointer.
 */
export const hyper: Library = {
  name: 'hyper',
  queries: [
    transaction('parse'),
    transaction('encode'),
    {
      // Any of the server's code: a program that was built with it, whatever is inlined where.
      id: 'hyper.server.code',
      kind: 'function',
      contains: ['hyper', 'role', 'Server'],
      pattern: /\bhyper::proto::h1::role::Server\b/,
      recovery: { kind: 'functions', find: serverCode },
    },
    {
      id: 'hyper.runtime',
      kind: 'function',
      contains: ['tokio', 'time', 'sleep'],
      pattern: /^<?tokio::time::sleep::/,
      recovery: { kind: 'functions', find: tokioSleep },
    },
  ],
  hooks: [
    {
      name: 'hyper.server.parse',
      program: 'hyper_server_parse',
      query: 'hyper.server.parse',
      arguments: ['rsi', 'rdx'],
      gives: 'request heads',
    },
    {
      name: 'hyper.server.encode',
      program: 'hyper_server_encode',
      query: 'hyper.server.encode',
      arguments: ['rsi'],
      gives: 'response heads',
    },
  ],
};

type HyperRow = LayoutRow & BinaryLayout;

export function hyperLayout(facts: BinaryFacts): Found<BinaryLayout> {
  const found = hyperVersion(facts);
  if ('missing' in found) return found;
  const rows: readonly HyperRow[] = layouts.rows;
  return lookUp({
    library: 'hyper',
    version: found.value,
    rustc: facts.rustc?.version,
    rows: rows.filter(({ features }) => features === featuresOf(facts, found.value)),
    pick: layoutOf,
    measured: measured(facts, 'hyper'),
  });
}

const layoutOf = (row: HyperRow): BinaryLayout => ({
  parseContextReqMethod: row.parseContextReqMethod,
  encodeHead: row.encodeHead,
  encodeReqMethod: row.encodeReqMethod,
  headStatus: row.headStatus,
  bytesMutPointer: row.bytesMutPointer,
  bytesMutLength: row.bytesMutLength,
});

/**
 * The version whose server is linked. With two (a client of another generation beside the server) axum tells,
 * else there is no way to know which one a symbol belongs to.
 */
function hyperVersion(facts: BinaryFacts): Found<string | undefined> {
  const versions = cratesNamed(facts, 'hyper').flatMap(({ version }) => version ?? []);
  if (versions.length <= 1) return { value: versions[0], evidence: '' };
  const generation = serverGeneration(facts);
  const fitting = versions.filter((version) => version.startsWith(generation ?? '-'));
  if (fitting.length === 1) return { value: fitting[0], evidence: '' };
  return {
    missing: `hyper ${versions.join(' and ')} are both linked, and which one serves is not known`,
  };
}

function serverGeneration(facts: BinaryFacts): '0.14.' | '1.' | undefined {
  const axum = cratesNamed(facts, 'axum').flatMap(({ version }) => version ?? []);
  if (axum.length > 0) return axum.every((version) => version.startsWith('0.6.')) ? '0.14.' : '1.';
  return hasCrate(facts, 'warp') ? '0.14.' : undefined;
}

/**
 * hyper 0.14.16 and later has three members more in ParseContext with the feature `runtime` (which `tcp` and
 * `hyper::Server` bring): its time-out for reading a head is a Tokio sleep. A program with symbols and no
 * Tokio sleep in it was built without.
 */
function featuresOf(facts: BinaryFacts, version: string | undefined): string {
  const parsed = version === undefined ? undefined : parseVersion(version);
  if (!parsed || compareVersions(parsed, [1, 0, 0]) >= 0) return 'server http1';
  return hasSymbols(facts) && !hasFunction(facts, 'hyper.runtime') ? 'server http1' : 'server http1 runtime';
}
