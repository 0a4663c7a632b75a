import type { BinaryFacts, SymbolQuery } from '../../analysis/facts.ts';
import type { Recogniser } from '../../recover/recogniser.ts';
import { hasFunction, type Library } from '../library.ts';
import { openssl, rustlsSide } from './recover.ts';

interface TlsSide {
  readonly name: string;
  /** What that side alone links; a program with only the other has none of it. */
  readonly query: SymbolQuery;
}

const side =
  (prefix: string) =>
  (name: string, contains: readonly string[], pattern: RegExp, find?: Recogniser): TlsSide => ({
    name,
    query: {
      id: `${prefix}.${name}`,
      kind: 'function',
      contains,
      pattern,
      ...(find && { recovery: { kind: 'functions', find } }),
    },
  });

const server = side('tls');

const TLS_SERVERS: readonly TlsSide[] = [
  server(
    'rustls',
    ['rustls', 'ExpectClientHello'],
    /^<?rustls::server::\S*ExpectClientHello/,
    rustlsSide('server'),
  ),
  server(
    'openssl',
    ['openssl', 'ccept'],
    /^<?(?:tokio_)?openssl::(?:ssl::)?(?:SslAcceptor|SslStream<.*>::(?:poll_)?accept)/,
    openssl(['SSL_accept']),
  ),
  server('native-tls', ['native_tls', 'TlsAcceptor'], /^<?(?:tokio_)?native_tls::(?:imp::)?TlsAcceptor/),
  server('boring', ['boring', 'ccept'], /^<?(?:tokio_)?boring::(?:ssl::)?(?:SslAcceptor|accept)/),
  server('s2n-tls', ['s2n', 'TlsAcceptor'], /^<?s2n_tls_tokio::TlsAcceptor/),
  server('OpenSSL (linked in)', ['SSL_accept'], /^SSL_accept$/),
];

const client = side('tls.client');

const TLS_CLIENTS: readonly TlsSide[] = [
  client(
    'rustls',
    ['rustls', 'ExpectServerHello'],
    /^<?rustls::client::\S*ExpectServerHello/,
    rustlsSide('client'),
  ),
  client(
    'openssl',
    ['openssl', 'onnect'],
    /^<?(?:tokio_)?openssl::(?:ssl::)?(?:\S*::)?(?:SslConnector|SslStream<.*>::(?:poll_)?connect)/,
    openssl(['SSL_connect']),
  ),
  client('native-tls', ['native_tls', 'TlsConnector'], /^<?(?:tokio_)?native_tls::(?:imp::)?TlsConnector/),
  client(
    'boring',
    ['boring', 'onnect'],
    /^<?(?:tokio_)?boring::(?:ssl::)?(?:\S*::)?(?:SslConnector|connect)/,
  ),
  client('s2n-tls', ['s2n', 'TlsConnector'], /^<?s2n_tls_tokio::TlsConnector/),
  client('OpenSSL (linked in)', ['SSL_connect'], /^SSL_connect$/),
];

export const tls: Library = {
  name: 'tls',
  queries: [...TLS_SERVERS, ...TLS_CLIENTS].map(({ query }) => query),
  hooks: [],
};

export interface TlsEvidence {
  readonly name: string;
  /** The function that tells. */
  readonly evidence: string;
}

/** TLS libraries whose server side is linked. */
export const tlsServers = (facts: BinaryFacts): readonly TlsEvidence[] => linked(TLS_SERVERS, facts);

/** TLS libraries whose client side is linked. */
export const tlsClients = (facts: BinaryFacts): readonly TlsEvidence[] => linked(TLS_CLIENTS, facts);

function linked(sides: readonly TlsSide[], facts: BinaryFacts): readonly TlsEvidence[] {
  return sides
    .filter(({ query }) => hasFunction(facts, query.id))
    .map(({ name, query }) => ({ name, evidence: facts.functions[query.id]?.[0]?.name ?? '' }));
}
