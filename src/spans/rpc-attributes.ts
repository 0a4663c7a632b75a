import {
  ATTR_ERROR_TYPE,
  ATTR_NETWORK_PEER_ADDRESS,
  ATTR_NETWORK_PEER_PORT,
  ATTR_SERVER_ADDRESS,
  ATTR_SERVER_PORT,
} from '@opentelemetry/semantic-conventions';
import { type AttributeKey, attributeKey } from '../base/attribute-key.ts';
import { ATTR_RPC_METHOD, ATTR_RPC_REQUEST_METADATA, ATTR_RPC_SYSTEM_NAME } from '../base/rpc-keys.ts';
import type { Headers } from './client-attributes.ts';
import { type ClientTarget, defaultPort, serverOf } from './client-url.ts';
import { methodOfPath } from './grpc.ts';
import { type Attributes, pushHeaders } from './server-attributes.ts';

const SYSTEM = attributeKey(ATTR_RPC_SYSTEM_NAME);
const METHOD = attributeKey(ATTR_RPC_METHOD);
const SERVER_ADDRESS = attributeKey(ATTR_SERVER_ADDRESS);
const SERVER_PORT = attributeKey(ATTR_SERVER_PORT);
const PEER_ADDRESS = attributeKey(ATTR_NETWORK_PEER_ADDRESS);
const PEER_PORT = attributeKey(ATTR_NETWORK_PEER_PORT);
const ERROR_TYPE = attributeKey(ATTR_ERROR_TYPE);

const GRPC = 'grpc';

/** What a span of a remote procedure call tells, of either side, beside its outcome. */
export interface RpcFacts {
  readonly target: ClientTarget;
  readonly peerAddress: string | undefined;
  readonly peerPort: number;
  /** The metadata asked for. */
  readonly requestHeaders: Headers | undefined;
}

export const rpcSpanName = ({ path }: ClientTarget): string => methodOfPath(path) ?? GRPC;

/** In the order of SEMCONV. `status`: undefined when it is not known. */
export function rpcAttributes(
  facts: RpcFacts,
  statusKeys: readonly AttributeKey[],
  status: string | undefined,
  error: string | undefined,
): Attributes {
  const attributes: Attributes = [SYSTEM, GRPC];
  const method = methodOfPath(facts.target.path);
  if (method !== undefined) attributes.push(METHOD, method);
  if (status !== undefined) for (const key of statusKeys) attributes.push(key, status);
  const { address, port } = serverOf(facts.target.authority);
  if (address !== undefined) {
    attributes.push(SERVER_ADDRESS, address);
    const known = port ?? defaultPort(facts.target.scheme);
    if (known !== undefined) attributes.push(SERVER_PORT, known);
  }
  if (facts.peerAddress !== undefined) {
    attributes.push(PEER_ADDRESS, facts.peerAddress);
    if (facts.peerPort !== 0) attributes.push(PEER_PORT, facts.peerPort);
  }
  if (error !== undefined) attributes.push(ERROR_TYPE, error);
  if (facts.requestHeaders) pushHeaders(attributes, ATTR_RPC_REQUEST_METADATA, facts.requestHeaders);
  return attributes;
}
