import { CALL_SCHEME } from '../events/layout.ts';
import { text } from './server-attributes.ts';
import { redactQuery, splitTarget } from './url.ts';

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

export const withoutCredentials = (authority: string) => authority.slice(authority.lastIndexOf('@') + 1);

/** SEMCONV `url.full`: no credentials, no known secrets, no fragment. Without a scheme: RFC 3986 §4.2. */
export function fullUrl({ scheme, authority, path }: ClientTarget): string {
  const host = withoutCredentials(authority);
  const shown = host === authority ? host : `REDACTED:REDACTED@${host}`;
  const start = scheme === undefined ? `//${shown}` : `${scheme}://${shown}`;
  if (path === '') return text(start);
  const parts = splitTarget('', path);
  return text(start + parts.path + (parts.query === undefined ? '' : `?${redactQuery(parts.query)}`));
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
