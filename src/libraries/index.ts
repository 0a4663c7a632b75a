import type { BinaryFacts, CrateFact, SymbolQuery } from '../analysis/facts.ts';
import type { RecognisedLibrary } from '../plan/plan.ts';
import { axum } from './axum/axum.ts';
import { h2 } from './h2/h2.ts';
import { hyperClient } from './hyper/client.ts';
import { hyper } from './hyper/hyper.ts';
import { type Hook, type Library, recognisedCrate } from './library.ts';
import { NETWORK_QUERIES } from './network.ts';
import { OTLP_CRATE, openTelemetry } from './opentelemetry/opentelemetry.ts';
import { reqwest } from './reqwest/reqwest.ts';
import { std } from './std/std.ts';
import { tls, tlsServers } from './tls/tls.ts';
import { tokio } from './tokio/tokio.ts';
import { tonic } from './tonic/tonic.ts';

/** Libraries with hooks, layouts or evidence of their own. Adding one adds it here. */
export const LIBRARIES: readonly Library[] = [
  ...[hyper, hyperClient, h2, tonic, reqwest, axum, tokio, std, tls],
  openTelemetry,
];

/** Everything the plan wants to know of a binary's symbol tables. */
export const QUERIES: readonly SymbolQuery[] = [
  ...LIBRARIES.flatMap((library) => library.queries),
  ...NETWORK_QUERIES,
];

export const HOOKS: readonly Hook[] = LIBRARIES.flatMap((library) => library.hooks);

/** Crates worth naming to a user: what serves, calls, encrypts or schedules. */
const NAMED = new Set([
  'actix-http',
  'actix-web',
  'actix-server',
  'async-h1',
  'async-std',
  'attohttpc',
  'awc',
  'axum',
  'axum-server',
  'boring',
  'h2',
  'h3',
  'hyper',
  'hyper-rustls',
  'hyper-util',
  'isahc',
  'may_minihttp',
  'minreq',
  'native-tls',
  'ntex',
  'ntex-http',
  'openssl',
  'pingora',
  'poem',
  'quinn',
  'redis',
  'reqwest',
  'rocket',
  'rustls',
  's2n-tls',
  'salvo',
  'sea-orm',
  'smol',
  'sqlx-core',
  'tide',
  'tiny_http',
  'tokio',
  'tokio-openssl',
  'tokio-postgres',
  'tokio-rustls',
  'tonic',
  'tower',
  'tower-http',
  'ureq',
  'warp',
]);

/** Names with `_` come from symbols. */
const isOwnExporter = (name: string): boolean => name.replaceAll('_', '-') === OTLP_CRATE;

/** Known libraries the binary holds: from crate paths, else from symbols. Sorted by name, then version. */
export function recognise(facts: BinaryFacts): readonly RecognisedLibrary[] {
  const crates = facts.crates
    .filter(({ name }) => NAMED.has(name) || isOwnExporter(name))
    .map(recognisedCrate);
  const symbols = [...hookLibraries(facts), ...tlsLibraries(facts)];
  const unnamed = symbols.filter(({ name }) => !crates.some((crate) => crate.name === name));
  return [...crates, ...unnamed].sort((a, b) => compare(a.name, b.name) || compare(a.version, b.version));
}

function hookLibraries(facts: BinaryFacts): readonly RecognisedLibrary[] {
  return [hyper, h2, tonic, reqwest, axum, tokio, openTelemetry].flatMap(({ name, queries }) => {
    const answers = queries.filter(({ id }) => id !== 'hyper.runtime');
    const found = answers.flatMap(
      ({ id }) => facts.functions[id]?.[0] ?? facts.tlsVariables[id]?.[0] ?? [],
    )[0];
    return found ? [{ name, version: undefined, evidence: found.name }] : [];
  });
}

function tlsLibraries(facts: BinaryFacts): readonly RecognisedLibrary[] {
  return tlsServers(facts).map(({ name, evidence }) => ({ name, version: undefined, evidence }));
}

const compare = (a = '', b = ''): number => (a < b ? -1 : a > b ? 1 : 0);

/** For the message about a program without any of them: its crates, a few. */
export function crateList(crates: readonly CrateFact[], limit = 20): string {
  const names = [...new Set(crates.map(({ name, version }) => (version ? `${name} ${version}` : name)))];
  const shown = names.slice(0, limit).join(', ');
  return names.length > limit ? `${shown} and ${names.length - limit} more` : shown;
}
