import type { Config } from '../config.ts';
import { binaryLayout, fileKey, SAMPLER, TARGET_FLAG, target } from '../events/layout.ts';
import type { Plan, Tier } from '../plan/plan.ts';
import type { KernelFileKey } from '../process/file-key.ts';

/** Values for the constants of bpf/maps.h. */
export function kernelConstants(config: Config, scratchSlots: number): Record<string, number | bigint> {
  const { parentBased, ratio } = config.sampler;
  const root = ratio >= 1 ? SAMPLER.ON : ratio <= 0 ? SAMPLER.OFF : SAMPLER.RATIO;
  return {
    sampler_root: root,
    sampler_parent_sampled: parentBased ? SAMPLER.ON : root,
    sampler_parent_unsampled: parentBased ? SAMPLER.OFF : root,
    sampler_ratio: BigInt(Math.round(ratio * 2 ** 53)) << 10n, // of 2^63
    extract_traceparent: config.propagators.includes('tracecontext') ? 1 : 0,
    capture_response_heads: config.captureHeaders.serverResponse.length > 0 ? 1 : 0,
    has_preempt_guard: 1, // a kernel without it loads the call as `r0 = 0`
    scratch_slots: scratchSlots,
  };
}

/**
 * `struct target`: what the kernel side does for a process of this plan. `parked`: hyper's probes are detached
 * until a client begins TLS.
 */
export function encodeTarget(
  plan: Plan,
  tier: Tier,
  layoutIndex: number,
  socketTier: boolean,
  parked: boolean,
): Buffer {
  const value = Buffer.alloc(target.size);
  const slot = plan.taskSlot;
  const has = (program: string) => plan.probes.some((probe) => probe.program === program);
  const library = has('hyper_server_parse') && has('hyper_server_encode');
  let flags = 0;
  if (tier !== 'library' && socketTier) flags |= TARGET_FLAG.SOCKET;
  if (library) flags |= parked ? TARGET_FLAG.WATCH_TLS : TARGET_FLAG.LIBRARY;
  if (library && (tier === 'library' || !socketTier)) flags |= TARGET_FLAG.LIBRARY_PLAINTEXT;
  if (has('axum_set_matched_path') && slot) flags |= TARGET_FLAG.ROUTES;
  if (slot) {
    flags |= TARGET_FLAG.TASK_SLOT;
    value.writeInt32LE(slot.threadPointerOffset + slot.idOffset, target.taskIdOffset);
    if (slot.tagOffset !== undefined) {
      flags |= TARGET_FLAG.TASK_TAG;
      value.writeInt32LE(slot.threadPointerOffset + slot.tagOffset, target.taskTagOffset);
    }
  }
  value.writeUInt32LE(flags, target.flags);
  value.writeUInt32LE(layoutIndex, target.layout);
  return value;
}

/** `struct binary_layout`; zero for what the plan has no probes for. */
export function encodeLayout({ layout, routeTable }: Plan): Buffer {
  const value = Buffer.alloc(binaryLayout.size);
  const put = (field: number, offset: number) => value.writeUInt16LE(offset, field);
  if (layout) {
    put(binaryLayout.parseContextReqMethod, layout.parseContextReqMethod);
    put(binaryLayout.encodeHead, layout.encodeHead);
    put(binaryLayout.encodeReqMethod, layout.encodeReqMethod);
    put(binaryLayout.headStatus, layout.headStatus);
    put(binaryLayout.bytesMutPointer, layout.bytesMutPointer);
    put(binaryLayout.bytesMutLength, layout.bytesMutLength);
  }
  if (routeTable) {
    put(binaryLayout.tableControl, routeTable.controlPointer);
    put(binaryLayout.tableMask, routeTable.bucketMask);
    put(binaryLayout.tableKeys, routeTable.hasherKeys);
    put(binaryLayout.bucketSize, routeTable.bucketSize);
    put(binaryLayout.bucketId, routeTable.routeId);
    put(binaryLayout.bucketPointer, routeTable.templatePointer);
    put(binaryLayout.bucketLength, routeTable.templateLength);
    put(binaryLayout.arcHeader, routeTable.arcHeader);
  }
  return value;
}

export function encodeFileKey({ device, inode }: KernelFileKey): Buffer {
  const key = Buffer.alloc(fileKey.size);
  key.writeBigUInt64LE(BigInt(device), fileKey.device);
  key.writeBigUInt64LE(BigInt(inode), fileKey.inode);
  return key;
}

export function encodeU32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** What a process's sockets have carried since its target was written. */
export interface Carried {
  readonly plaintext: number;
  readonly tls: number;
}

export function decodeCarried(value: Uint8Array): Carried {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  return { plaintext: view.getUint32(target.plaintext, true), tls: view.getUint32(target.tls, true) };
}
