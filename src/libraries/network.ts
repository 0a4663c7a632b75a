import type { BinaryFacts, SymbolQuery } from '../analysis/facts.ts';
import { hasCrate, hasFunction, hasSymbols } from './library.ts';

/** Crates a network server in Rust is built on: one of them, or std's listener, is in every one of them. */
const NETWORK_CRATES = [
  'tokio',
  'mio',
  'hyper',
  'hyper-util',
  'h2',
  'quinn',
  'socket2',
  'axum',
  'warp',
  'rocket',
  'poem',
  'salvo',
  'actix-http',
  'actix-web',
  'actix-server',
  'actix-rt',
  'ntex',
  'tide',
  'async-std',
  'async-io',
  'smol',
  'polling',
  'tiny_http',
  'rouille',
  'tonic',
  'pingora',
  'pingora-core',
  'may',
  'may_minihttp',
  'monoio',
  'glommio',
  'compio',
  'io-uring',
  'tokio-uring',
  'httparse',
  'rustls',
  'openssl',
  'native-tls',
  'async-net',
  'rustix',
  'nix',
] as const;

export const NETWORK_QUERIES: readonly SymbolQuery[] = [
  {
    id: 'std.listener',
    kind: 'function',
    contains: ['Listener'],
    pattern:
      /\b(?:std::(?:net|os::unix::net|sys::net|sys_common::net)\S*|mio\S*|tokio\S*)::(?:Tcp|Unix)Listener\b/,
  },
  { id: 'libc.accept', kind: 'function', contains: ['accept'], pattern: /^(?:__libc_)?accept4?$/ },
];

/**
 * False only where it is sure: there are symbols to look through, and neither they nor the crates hold anything
 * that listens. A stripped program, or one whose listener is its own system calls, passes.
 */
export function mayServe(facts: BinaryFacts): boolean {
  if (!hasSymbols(facts)) return true;
  if (NETWORK_CRATES.some((name) => hasCrate(facts, name))) return true;
  return NETWORK_QUERIES.some(({ id }) => hasFunction(facts, id));
}
