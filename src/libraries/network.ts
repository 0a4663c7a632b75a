import type { BinaryFacts, SymbolQuery } from '../analysis/facts.ts';
import { hasCrate, hasFunction, hasSymbols } from './library.ts';

/** HTTP clients: a program with one of them makes requests. */
const CLIENT_CRATES = [
  'reqwest',
  'ureq',
  'attohttpc',
  'minreq',
  'isahc',
  'curl',
  'awc',
  'tonic',
  'surf',
  'async-h1',
  'http-client',
] as const;

/** Crates a network program in Rust is built on: one of them, or std's sockets, is in every one of them. */
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
    id: 'std.socket',
    kind: 'function',
    contains: ['net'],
    pattern:
      /\b(?:std::(?:net|os::unix::net|sys::net|sys_common::net)\S*|mio\S*|tokio\S*)::(?:Tcp|Unix)(?:Listener|Stream)\b/,
  },
  { id: 'libc.accept', kind: 'function', contains: ['accept'], pattern: /^(?:__libc_)?accept4?$/ },
];

/**
 * False only where it is sure: there are symbols to look through, and neither they nor the crates hold anything
 * that listens or connects. A stripped program, or one whose sockets are its own system calls, passes.
 */
export function mayCommunicate(facts: BinaryFacts): boolean {
  if (!hasSymbols(facts)) return true;
  if ([...NETWORK_CRATES, ...CLIENT_CRATES].some((name) => hasCrate(facts, name))) return true;
  return NETWORK_QUERIES.some(({ id }) => hasFunction(facts, id));
}

/** Whether it may make HTTP requests by a client we know by name. */
export function hasClientCrate(facts: BinaryFacts): boolean {
  return CLIENT_CRATES.some((name) => hasCrate(facts, name));
}
