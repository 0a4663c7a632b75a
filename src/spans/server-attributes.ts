import {
  ATTR_CLIENT_ADDRESS,
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_HEADER,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_HTTP_RESPONSE_HEADER,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_HTTP_ROUTE,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_PEER_PORT,
  ATTR_NETWORK_PROTOCOL_VERSION,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_PATH,
  ATTR_URL_QUERY,
  ATTR_URL_SCHEME,
  ATTR_USER_AGENT_ORIGINAL,
} from '@opentelemetry/semantic-conventions';
import { type AttributeKey, attributeKey } from '../base/attribute-key.ts';
import type { RequestHead } from './request-head.ts';
import type { AttributeValue } from './span.ts';
import { forwardedParameter, redactQuery, splitHost, splitTarget } from './url.ts';

const METHOD = attributeKey(ATTR_HTTP_REQUEST_METHOD);
const METHOD_ORIGINAL = attributeKey(ATTR_HTTP_REQUEST_METHOD_ORIGINAL);
const PATH = attributeKey(ATTR_URL_PATH);
const QUERY = attributeKey(ATTR_URL_QUERY);
const SCHEME = attributeKey(ATTR_URL_SCHEME);
const VERSION = attributeKey(ATTR_NETWORK_PROTOCOL_VERSION);
const SERVER_ADDRESS = attributeKey(ATTR_SERVER_ADDRESS);
const SERVER_PORT = attributeKey(ATTR_SERVER_PORT);
const CLIENT_ADDRESS = attributeKey(ATTR_CLIENT_ADDRESS);
const PEER_ADDRESS = attributeKey(ATTR_NETWORK_PEER_ADDRESS);
const PEER_PORT = attributeKey(ATTR_NETWORK_PEER_PORT);
const USER_AGENT = attributeKey(ATTR_USER_AGENT_ORIGINAL);
export const ROUTE = attributeKey(ATTR_HTTP_ROUTE);
export const STATUS_CODE = attributeKey(ATTR_HTTP_RESPONSE_STATUS_CODE);
export const ERROR_TYPE = attributeKey(ATTR_ERROR_TYPE);

/** RFC 9110, PATCH (RFC 5789) and QUERY. */
export const KNOWN_METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
  'QUERY',
];

export type Attributes = (AttributeKey | AttributeValue)[];

/** What the connection tells about a request, beside its head. */
export interface Transport {
  /** undefined when the tier that saw the request can't tell. */
  readonly tls: boolean | undefined;
  readonly peerAddress: string | undefined;
  readonly peerPort: number;
}

/** Attributes known when the head is complete, in the order of SEMCONV. */
export function requestAttributes(
  head: RequestHead,
  transport: Transport,
  knownMethods: ReadonlySet<string>,
): Attributes {
  const { path, query } = splitTarget(head.method, head.target);
  const known = knownMethods.has(head.method);
  const attributes: Attributes = [METHOD, known ? head.method : '_OTHER'];
  if (!known && head.method !== '') attributes.push(METHOD_ORIGINAL, head.method);
  attributes.push(PATH, text(path));
  const scheme = schemeOf(head, transport);
  if (scheme !== undefined) attributes.push(SCHEME, scheme);
  if (query !== undefined) attributes.push(QUERY, text(redactQuery(query)));
  attributes.push(VERSION, head.version);
  pushServer(attributes, head, scheme);
  pushPeer(attributes, head, transport);
  if (head.userAgent) attributes.push(USER_AGENT, text(head.userAgent));
  if (head.captured) pushHeaders(attributes, ATTR_HTTP_REQUEST_HEADER, head.captured);
  return attributes;
}

function schemeOf(head: RequestHead, transport: Transport): string | undefined {
  const said =
    (head.forwarded && forwardedParameter(head.forwarded, 'proto')) ||
    head.forwardedProto?.split(',')[0]?.trim();
  if (said && /^[A-Za-z][A-Za-z0-9+.-]*$/.test(said)) return said.toLowerCase();
  if (transport.tls === undefined) return undefined;
  return transport.tls ? 'https' : 'http';
}

function pushServer(attributes: Attributes, head: RequestHead, scheme: string | undefined): void {
  const host = head.host && splitHost(head.host);
  if (!host) return;
  attributes.push(SERVER_ADDRESS, text(host.host));
  const port = host.port ?? (scheme === 'https' ? 443 : scheme === 'http' ? 80 : undefined);
  if (port !== undefined) attributes.push(SERVER_PORT, port);
}

function pushPeer(attributes: Attributes, head: RequestHead, { peerAddress, peerPort }: Transport): void {
  const client = forwardedClient(head) ?? peerAddress;
  if (client !== undefined) attributes.push(CLIENT_ADDRESS, text(client));
  if (peerAddress === undefined) return;
  attributes.push(PEER_ADDRESS, peerAddress);
  if (peerPort !== 0) attributes.push(PEER_PORT, peerPort);
}

function forwardedClient(head: RequestHead): string | undefined {
  const said =
    (head.forwarded && forwardedParameter(head.forwarded, 'for')) || head.forwardedFor?.split(',')[0]?.trim();
  // RFC 7239 §6.2 and §6.3: `unknown` and obfuscated identifiers, `_secret`, are no addresses.
  return said && !/^(unknown$|_)/i.test(said) ? splitHost(said)?.host : undefined;
}

export function pushHeaders(
  attributes: Attributes,
  prefixed: (name: string) => string,
  headers: ReadonlyMap<string, readonly string[]>,
): void {
  for (const [name, values] of headers) attributes.push(attributeKey(prefixed(name)), values.map(text));
}

export const pushResponseHeaders = (
  attributes: Attributes,
  headers: ReadonlyMap<string, readonly string[]>,
) => pushHeaders(attributes, ATTR_HTTP_RESPONSE_HEADER, headers);

// biome-ignore lint/suspicious/noControlCharactersInRegex: the question is exactly which bytes are ASCII
const ASCII = /^[\x00-\x7f]*$/;

/** Bytes, a character each, as UTF-8 text; what is no UTF-8 becomes U+FFFD. */
export function text(bytes: string): string {
  return ASCII.test(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

/** SEMCONV "Name": never the path. */
export function spanName(method: string, known: boolean, route: string | undefined): string {
  const verb = known ? method : 'HTTP';
  return route === undefined ? verb : `${verb} ${route}`;
}
