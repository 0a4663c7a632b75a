/** `path` and `query` of a request target, RFC 9112 §3.2. */
export interface TargetParts {
  readonly path: string;
  readonly query: string | undefined;
}

/** An authority-form target (CONNECT) has no path: it is empty. */
export function splitTarget(method: string, target: string): TargetParts {
  if (method === 'CONNECT') return { path: '', query: undefined };
  let start = 0;
  if (target.charCodeAt(0) !== SLASH) start = pathOfAbsolute(target);
  const hash = target.indexOf('#', start);
  const end = hash < 0 ? target.length : hash;
  const mark = target.indexOf('?', start);
  if (mark < 0 || mark > end) return { path: target.slice(start, end) || '/', query: undefined };
  return { path: target.slice(start, mark) || '/', query: target.slice(mark + 1, end) || undefined };
}

const SLASH = 47;

/** Where the path begins in `http://host/path`; 0 for `*` and for what is no URL. */
function pathOfAbsolute(target: string): number {
  const scheme = target.indexOf('://');
  if (scheme < 0) return 0;
  const rest = target.slice(scheme + 3).search(/[/?#]/);
  return rest < 0 ? target.length : scheme + 3 + rest;
}

/** SEMCONV "Query redaction": the value goes, the key stays. */
const SECRETS = /(^|&)(X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|sig|X-Goog-Signature)=[^&]*/g;

export function redactQuery(query: string): string {
  const suspect = query.includes('sig=') || query.includes('X-Amz-') || query.includes('X-Goog-');
  return suspect ? query.replace(SECRETS, '$1$2=REDACTED') : query;
}

export interface HostAndPort {
  readonly host: string;
  readonly port: number | undefined;
}

/** `example.org:8080`, `[::1]:8080`, `example.org`; undefined when there is no host. */
export function splitHost(text: string): HostAndPort | undefined {
  const bracket = text.charCodeAt(0) === 91 ? text.indexOf(']') : -1;
  const colon = bracket < 0 ? text.lastIndexOf(':') : text.indexOf(':', bracket);
  const bare = bracket < 0 && colon >= 0 && text.indexOf(':') !== colon; // an IPv6 address without brackets
  const end = colon < 0 || bare ? text.length : colon;
  const host = bracket > 0 ? text.slice(1, bracket) : text.slice(0, end);
  if (host === '') return undefined;
  return { host, port: end === text.length ? undefined : portNumber(text.slice(end + 1)) };
}

function portNumber(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port > 0 && port < 65_536 ? port : undefined;
}

/** The first `name=value` of a Forwarded header (RFC 7239 §4), without quotes. */
export function forwardedParameter(header: string, name: string): string | undefined {
  const [first = ''] = header.split(',');
  for (const pair of first.split(';')) {
    const equals = pair.indexOf('=');
    if (equals < 0 || pair.slice(0, equals).trim().toLowerCase() !== name) continue;
    return pair
      .slice(equals + 1)
      .trim()
      .replace(/^"(.*)"$/, '$1');
  }
  return undefined;
}
