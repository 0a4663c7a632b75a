import {
  ATTR_ERROR_TYPE,
  ATTR_HTTP_REQUEST_HEADER,
  ATTR_HTTP_REQUEST_METHOD,
  ATTR_HTTP_REQUEST_METHOD_ORIGINAL,
  ATTR_HTTP_REQUEST_RESEND_COUNT,
  ATTR_HTTP_RESPONSE_STATUS_CODE,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_PEER_PORT,
  ATTR_NETWORK_PROTOCOL_VERSION,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
  ATTR_URL_FULL,
} from '@opentelemetry/semantic-conventions';
import { attributeKey } from '../base/attribute-key.ts';
import { type ClientTarget, defaultPort, fullUrl, serverOf } from './client-url.ts';
import { type Attributes, pushHeaders } from './server-attributes.ts';

const METHOD = attributeKey(ATTR_HTTP_REQUEST_METHOD);
const METHOD_ORIGINAL = attributeKey(ATTR_HTTP_REQUEST_METHOD_ORIGINAL);
const SERVER_ADDRESS = attributeKey(ATTR_SERVER_ADDRESS);
const SERVER_PORT = attributeKey(ATTR_SERVER_PORT);
const URL_FULL = attributeKey(ATTR_URL_FULL);
const STATUS_CODE = attributeKey(ATTR_HTTP_RESPONSE_STATUS_CODE);
const ERROR_TYPE = attributeKey(ATTR_ERROR_TYPE);
const RESEND_COUNT = attributeKey(ATTR_HTTP_REQUEST_RESEND_COUNT);
const PEER_ADDRESS = attributeKey(ATTR_NETWORK_PEER_ADDRESS);
const PEER_PORT = attributeKey(ATTR_NETWORK_PEER_PORT);
const VERSION = attributeKey(ATTR_NETWORK_PROTOCOL_VERSION);

/** Methods by the tag of http::Method (http 0.2 and 1, src/method.rs, `Inner`); beyond: an extension. */
export const HTTP_METHODS = ['OPTIONS', 'GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'TRACE', 'CONNECT', 'PATCH'];

export type Headers = ReadonlyMap<string, readonly string[]>;

/** All that a CLIENT span tells; of one attempt. */
export interface ClientFacts {
  /** undefined: an extension whose name was not seen. */
  readonly method: string | undefined;
  readonly target: ClientTarget;
  /** Earlier attempts. */
  readonly resends: number;
  readonly peerAddress: string | undefined;
  readonly peerPort: number;
  readonly version: string | undefined;
  readonly requestHeaders: Headers | undefined;
}

export const isKnownMethod = (method: string | undefined, known: ReadonlySet<string>): method is string =>
  method !== undefined && known.has(method);

/** In the order of SEMCONV. `status`: 0 when no response was seen. */
export function clientAttributes(
  facts: ClientFacts,
  knownMethods: ReadonlySet<string>,
  status: number,
  error: string | undefined,
): Attributes {
  const { method } = facts;
  const known = isKnownMethod(method, knownMethods);
  const attributes: Attributes = [METHOD, known ? method : '_OTHER'];
  if (!known && method !== undefined) attributes.push(METHOD_ORIGINAL, method);
  pushServer(attributes, facts.target);
  if (facts.target.authority !== '') attributes.push(URL_FULL, fullUrl(facts.target));
  if (status !== 0) attributes.push(STATUS_CODE, status);
  if (error !== undefined) attributes.push(ERROR_TYPE, error);
  if (facts.resends > 0) attributes.push(RESEND_COUNT, facts.resends);
  if (facts.peerAddress !== undefined) {
    attributes.push(PEER_ADDRESS, facts.peerAddress);
    if (facts.peerPort !== 0) attributes.push(PEER_PORT, facts.peerPort);
  }
  if (facts.version !== undefined) attributes.push(VERSION, facts.version);
  if (facts.requestHeaders) pushHeaders(attributes, ATTR_HTTP_REQUEST_HEADER, facts.requestHeaders);
  return attributes;
}

function pushServer(attributes: Attributes, { scheme, authority }: ClientTarget): void {
  const { address, port } = serverOf(authority);
  if (address === undefined) return;
  attributes.push(SERVER_ADDRESS, address);
  const known = port ?? defaultPort(scheme);
  if (known !== undefined) attributes.push(SERVER_PORT, known);
}
