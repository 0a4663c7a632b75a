import type { BinaryFacts, SymbolQuery } from '../../analysis/facts.ts';
import { hasFunction, type Library } from '../library.ts';

interface TlsServer {
  readonly name: string;
  /** What its server side alone links; a program with only a TLS client has none of it. */
  readonly query: SymbolQuery;
}

const server = (name: string, contains: readonly string[], pattern: RegExp): TlsServer => ({
  name,
  query: { id: `tls.${name}`, kind: 'function', contains, pattern },
});

const TLS_SERVERS: readonly TlsServer[] = [
  server('rustls', ['rustls', 'ExpectClientHello'], /^<?rustls::server::\S*ExpectClientHello/),
  server(
    'openssl',
    ['openssl', 'ccept'],
    /^<?(?:tokio_)?openssl::(?:ssl::)?(?:SslAcceptor|SslStream<.*>::(?:poll_)?accept)/,
  ),
  server('native-tls', ['native_tls', 'TlsAcceptor'], /^<?(?:tokio_)?native_tls::(?:imp::)?TlsAcceptor/),
  server('boring', ['boring', 'ccept'], /^<?(?:tokio_)?boring::(?:ssl::)?(?:SslAcceptor|accept)/),
  server('s2n-tls', ['s2n', 'TlsAcceptor'], /^<?s2n_tls_tokio::TlsAcceptor/),
  server('OpenSSL (linked in)', ['SSL_accept'], /^SSL_accept$/),
];

export const tls: Library = { name: 'tls', queries: TLS_SERVERS.map(({ query }) => query), hooks: [] };

export interface TlsEvidence {
  readonly name: string;
  /** The function that tells. */
  readonly evidence: string;
}

/** TLS libraries whose server side is linked. */
export function tlsServers(facts: BinaryFacts): readonly TlsEvidence[] {
  return TLS_SERVERS.filter(({ query }) => hasFunction(facts, query.id)).map(({ name, query }) => ({
    name,
    evidence: facts.functions[query.id]?.[0]?.name ?? '',
  }));
}
