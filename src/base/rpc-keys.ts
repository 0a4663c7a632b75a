/**
 * Keys of remote procedure calls, whose conventions are not stable yet: they are only in the package's `incubating`
 * part, which takes 5 MB of memory to load.
 */
export const ATTR_RPC_SYSTEM_NAME = 'rpc.system.name';
export const ATTR_RPC_METHOD = 'rpc.method';
export const ATTR_RPC_RESPONSE_STATUS_CODE = 'rpc.response.status_code';
/** Its name from the next release of the conventions on. */
export const ATTR_RPC_STATUS_CODE = 'rpc.status_code';
export const ATTR_RPC_REQUEST_METADATA = (name: string) => `rpc.request.metadata.${name}`;

/** `rpc` in OTEL_SEMCONV_STABILITY_OPT_IN: the next release's names; `rpc/dup`: both; undefined: today's. */
export const RPC_OPT_INS = ['rpc', 'rpc/dup'] as const;
export type RpcOptIn = (typeof RPC_OPT_INS)[number];

export function rpcStatusKeys(optIn: RpcOptIn | undefined): readonly string[] {
  if (optIn === 'rpc') return [ATTR_RPC_STATUS_CODE];
  return optIn === 'rpc/dup'
    ? [ATTR_RPC_RESPONSE_STATUS_CODE, ATTR_RPC_STATUS_CODE]
    : [ATTR_RPC_RESPONSE_STATUS_CODE];
}
