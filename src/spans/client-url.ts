import { CALL_SCHEME } from '../events/layout.ts';
import { text } from './server-attributes.ts';
import { redactQuery, splitHost, splitTarget } from './url.ts';

/** Where a client request goes, as it was written: a character a byte, credentials and all. */
export interface ClientTarget {
  /** undefined when it is not known. */
  readonly scheme: string | undefined;
  readonly authority: string;
  /** Path and query; empty for CONNECT and for `OPTIONS *`. */
  readonly path: string;
}

const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?#]*)/;

/** RFC 9112 §3.2, of a head on the wire: what it says of itself beats Host, which may be a proxy's view. */
export function wireTarget(method: string, target: string, host: string, tls: boolean): ClientTarget {
  if (method === 'CONNECT') return { scheme: undefined, authority: target, path: '' };
  const scheme = tls ? 'https' : 'http';
  if (target.startsWith('/')) return { scheme, authority: host, path: target };
  const absolute = ABSOLUTE.exec(target);
  if (!absolute) return { scheme, authority: host, path: '' };
  const path = target.slice(absolute[0].length);
  return { scheme: absolute[1]?.toLowerCase(), authority: absolute[2] ?? '', path: withSlash(path) };
}

/** Of a URI in its parts. */
export function callTarget(scheme: number, authority: string, path: string): ClientTarget {
  const name = scheme === CALL_SCHEME.HTTP ? 'http' : scheme === CALL_SCHEME.HTTPS ? 'https' : undefined;
  return { scheme: name, authority, path: withSlash(path) };
}

const withSlash = (path: string) => (path.startsWith('/') ? path : `/${path}`);

/** What a span shows of an authority. */
export interface Server {
  /** undefined for an authority without a host. */
  readonly address: string | undefined;
  readonly port: number | undefined;
  /** The authority without credentials. */
  readonly shown: string;
}

export const defaultPort = (scheme: string | undefined): number | undefined =>
  scheme === 'https' ? 443 : scheme === 'http' ? 80 : undefined;

const REMEMBERED = 1024;
const servers = new Map<string, Server>();

/** Programs call the same few servers all the time. */
export function serverOf(authority: string): Server {
  let server = servers.get(authority);
  if (!server) {
    server = parseServer(authority);
    if (servers.size >= REMEMBERED) servers.clear();
    servers.set(authority, server);
  }
  return server;
}

function parseServer(authority: string): Server {
  const at = authority.lastIndexOf('@');
  const bare = authority.slice(at + 1);
  const host = splitHost(bare);
  const shown = text(at < 0 ? bare : `REDACTED:REDACTED@${bare}`);
  return { address: host && text(host.host), port: host?.port, shown };
}

/** SEMCONV `url.full`: no credentials, no known secrets, no fragment. Without a scheme: RFC 3986 §4.2. */
export function fullUrl({ scheme, authority, path }: ClientTarget): string {
  const { shown } = serverOf(authority);
  const start = scheme === undefined ? `//${shown}` : `${scheme}://${shown}`;
  if (path === '') return start;
  const parts = splitTarget('', path);
  return start + text(parts.query === undefined ? parts.path : `${parts.path}?${redactQuery(parts.query)}`);
}

/** For comparing URLs: normalised, with secrets, without credentials and fragment. undefined for what is none. */
export function comparableUrl(url: string, base?: string): string | undefined {
  if (!URL.canParse(url, base)) return undefined;
  const parsed = new URL(url, base);
  parsed.username = parsed.password = parsed.hash = '';
  return parsed.href;
}

export const rawUrl = ({ scheme, authority, path }: ClientTarget) =>
  text(`${scheme ?? ''}://${authority}${path}`);
