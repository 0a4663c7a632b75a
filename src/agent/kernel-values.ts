import { standardHeaderNumber } from '../base/standard-headers.ts';
import type { Config } from '../config.ts';
import {
  binaryLayout,
  COOKIE_OFFSET_SHIFT,
  COOKIE_REGISTER_SHIFT,
  COOKIE_SITE_SHIFT,
  fileKey,
  SAMPLER,
  TARGET_FLAG,
  target,
} from '../events/layout.ts';
import { vecMembers } from '../plan/injection-sites.ts';
import type { Datum, Plan, ProbeSite, ProgramName, StreamLayout, Tier } from '../plan/plan.ts';
import type { KernelFileKey } from '../process/file-key.ts';

/** Values for the constants of bpf/maps.h. */
export function kernelConstants(config: Config, scratchSlots: number): Record<string, number | bigint> {
  const { parentBased, ratio } = config.sampler;
  const { serverResponse, clientRequest, clientResponse } = config.captureHeaders;
  const root = ratio >= 1 ? SAMPLER.ON : ratio <= 0 ? SAMPLER.OFF : SAMPLER.RATIO;
  return {
    sampler_root: root,
    sampler_parent_sampled: parentBased ? SAMPLER.ON : root,
    sampler_parent_unsampled: parentBased ? SAMPLER.OFF : root,
    sampler_ratio: BigInt(Math.round(ratio * 2 ** 53)) << 10n, // of 2^63
    extract_traceparent: config.propagators.includes('tracecontext') ? 1 : 0,
    extract_b3:
      (config.propagators.includes('b3') ? 1 : 0) | (config.propagators.includes('b3multi') ? 2 : 0),
    capture_response_heads: serverResponse.length > 0 ? 1 : 0,
    capture_client_heads: clientRequest.length + clientResponse.length > 0 ? 1 : 0,
    scratch_slots: scratchSlots,
  };
}

/**
 * Probes that are detached while nothing needs them: those of TLS servers and clients, of blocking clients, and those by
 * which a task inherits from the one that made it.
 */
export const PARKABLE = ['server', 'client', 'blocking', 'tasks'] as const;
export type Parkable = (typeof PARKABLE)[number];

/** What the kernel can and the user wants, and which probes are detached until they are needed. */
export interface TargetChoice {
  readonly tier: Tier;
  readonly socketTier: boolean;
  /** Trace context is written into plaintext requests; under TLS. */
  readonly inject: boolean;
  readonly injectTls: boolean;
  readonly parked: Readonly<Record<Parkable, boolean>>;
}

/** Of a binary, in the kernel's tables. */
export interface KernelPlaces {
  readonly layoutIndex: number;
  /** The task slot's number among what is checked; 0: it is not. */
  readonly slotSite: number;
}

/** `struct target`: what the kernel side does for a process of this plan. */
export function encodeTarget(
  plan: Plan,
  { layoutIndex, slotSite }: KernelPlaces,
  choice: TargetChoice,
): Buffer {
  const value = Buffer.alloc(target.size);
  const slot = plan.taskSlot;
  let flags = serverFlags(plan, choice) | clientFlags(plan, choice) | streamFlags(plan);
  if (choice.parked.tasks) flags |= TARGET_FLAG.WATCH_CALLS;
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
  value.writeUInt32LE(slotSite, target.slotSite);
  return value;
}

const has = (plan: Plan, ...programs: readonly ProgramName[]) =>
  programs.every((program) => plan.probes.some((probe) => probe.program === program));

function serverFlags(plan: Plan, { tier, socketTier, parked }: TargetChoice): number {
  const library = pairsRequests(plan);
  let flags = 0;
  if (tier !== 'library' && socketTier) flags |= TARGET_FLAG.SOCKET;
  if (library) flags |= parked.server ? TARGET_FLAG.WATCH_TLS : TARGET_FLAG.LIBRARY;
  if (library && (tier === 'library' || !socketTier)) flags |= TARGET_FLAG.LIBRARY_PLAINTEXT;
  const routes = has(plan, 'axum_set_matched_path') || has(plan, 'axum_set_matched_path_at');
  if (routes && plan.taskSlot) flags |= TARGET_FLAG.ROUTES;
  return flags;
}

const seesCalls = (plan: Plan) => has(plan, 'hyper_client_call') || has(plan, 'hyper_client_call_at');
const linksCalls = (plan: Plan) => has(plan, 'hyper_client_encode') || has(plan, 'hyper_client_write_head');

/** … in both versions of HTTP. */
function seesWrites(plan: Plan): boolean {
  const WRITERS: readonly string[] = ['hyper.client.encode', 'h2.send_request'];
  if (!linksCalls(plan) || plan.missing.some(({ hook }) => WRITERS.includes(hook))) return false;
  return has(plan, 'h2_send_request') || !plan.libraries.some(({ name }) => name === 'h2');
}

/** Keys of connections must be of one kind: see hyper_server_write_head. */
const pairsRequests = (plan: Plan) =>
  has(plan, 'hyper_server_parse_at')
    ? has(plan, 'hyper_server_encode') || has(plan, 'hyper_server_write_head')
    : has(plan, 'hyper_server_parse', 'hyper_server_encode');

/** Where the parser is inlined its site has the key under which the encoder, or what has it inside, keeps a connection. */
const followsResponses = (plan: Plan) =>
  has(plan, 'hyper_client_parse_at')
    ? linksCalls(plan)
    : has(plan, 'hyper_client_encode', 'hyper_client_parse');

/** Parked: the encoder's probe stays, for the caller of a plaintext request; the parser's goes. */
function clientFlags(plan: Plan, { tier, socketTier, inject, injectTls, parked }: TargetChoice): number {
  const sockets = tier !== 'library' && socketTier;
  const calls = linksCalls(plan) || has(plan, 'tonic_call');
  const library = followsResponses(plan);
  let flags = 0;
  if (sockets) flags |= TARGET_FLAG.CLIENT_SOCKET;
  if (library) flags |= parked.client ? TARGET_FLAG.WATCH_CLIENT_TLS : TARGET_FLAG.CLIENT_LIBRARY;
  if (library && !sockets) flags |= TARGET_FLAG.CLIENT_LIBRARY_PLAINTEXT;
  if (calls) flags |= TARGET_FLAG.CALLS;
  if (seesWrites(plan)) flags |= TARGET_FLAG.WRITES_SEEN;
  if (flags !== 0) flags |= TARGET_FLAG.CONTEXTS;
  if (sockets && writersAreCallers(plan)) flags |= TARGET_FLAG.WRITER_CONTEXT;
  if (sockets && inject) flags |= TARGET_FLAG.INJECT;
  if (injectTls) flags |= TARGET_FLAG.INJECT_TLS;
  return flags;
}

/** h2's code of both sides is the same: a side whose source is another has no flag. */
function streamFlags(plan: Plan): number {
  const { sources, streamLayout } = plan;
  if (!streamLayout) return 0;
  const from = (wanted: Datum) => sources.some((one) => one.datum === wanted && one.source === 'library');
  let flags = 0;
  if (from('http2.server')) flags |= TARGET_FLAG.STREAMS;
  if (from('http2.client')) flags |= TARGET_FLAG.CLIENT_STREAMS;
  if (from('http2.client') || from('rpc.call') || has(plan, 'h2_take_request')) flags |= TARGET_FLAG.CONTEXTS;
  return flags;
}

/**
 * True when whatever writes a request that no probed client writes works for the request it handles. Not so for
 * hyper's clients: their connections are driven by tasks that outlive the request they were made in.
 */
function writersAreCallers(plan: Plan): boolean {
  if (plan.missing.some(({ hook }) => hook.startsWith('hyper.client'))) return false;
  if (seesCalls(plan) && linksCalls(plan)) return true;
  return !plan.libraries.some(({ name }) => name === 'hyper');
}

/** Standard headers that spans are made of: of requests and responses that are received, and of those that are sent. */
const RECEIVED_HEADERS = ['content-type', 'host', 'user-agent', 'forwarded', 'location'] as const;
const SENT_HEADERS = ['content-type', 'host'] as const;

/**
 * `struct binary_layout`; zero for what the plan has no probes for. Custom headers are always sent, standard ones when
 * a span needs them or they are among the `captured`.
 */
export function encodeLayout(plan: Plan, captured: readonly string[]): Buffer {
  const { layout, routeTable, clientLayout, streamLayout } = plan;
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
  if (clientLayout) {
    put(binaryLayout.clientEncodeHead, clientLayout.clientEncodeHead);
    put(binaryLayout.clientEncodeReqMethod, clientLayout.clientEncodeReqMethod);
    put(binaryLayout.clientHeadEntries, clientLayout.clientHeadEntries);
    put(binaryLayout.clientHeadPath, clientLayout.clientHeadPath);
    put(binaryLayout.clientParseReqMethod, clientLayout.clientParseReqMethod);
    put(binaryLayout.requestMethod, clientLayout.requestMethod);
    put(binaryLayout.requestScheme, clientLayout.requestScheme);
    put(binaryLayout.requestAuthority, clientLayout.requestAuthority);
    put(binaryLayout.requestPath, clientLayout.requestPath);
    put(binaryLayout.requestEntries, clientLayout.requestEntries);
    put(binaryLayout.requestEntriesLength, clientLayout.requestEntriesLength);
    put(binaryLayout.requestEntriesCapacity, clientLayout.requestEntriesCapacity);
    const vec = vecMembers(clientLayout);
    for (const name of VEC_MEMBERS) put(binaryLayout[name], vec?.[name] ?? 0);
  }
  if (streamLayout) {
    for (const name of STREAM_MEMBERS) put(binaryLayout[name], streamLayout[name]);
    const bits = [RECEIVED_HEADERS, SENT_HEADERS].flatMap((names) => headerBits([...names, ...captured]));
    for (const [index, word] of bits.entries())
      value.writeBigUInt64LE(word, binaryLayout.standardHeaders + 8 * index);
  }
  return value;
}

const VEC_MEMBERS = ['vecPointer', 'vecLength', 'vecCapacity'] as const;

const STREAM_MEMBERS = [
  'entrySize',
  'entryName',
  'entryNameCustom',
  'entryNameTag',
  'entryValue',
  'frameEntries',
  'frameEntriesLength',
  'frameMethod',
  'frameScheme',
  'frameAuthority',
  'framePath',
  'frameProtocol',
  'frameTextPresent',
  'frameStatus',
  'streamStore',
  'streamId',
  'streamsInner',
  'innerStore',
  'goAwayLastId',
] as const satisfies readonly (keyof StreamLayout)[];

/** A bit for each standard header, by its number; names of custom headers have none. */
function headerBits(names: readonly string[]): readonly [bigint, bigint] {
  const bits: [bigint, bigint] = [0n, 0n];
  for (const name of names) {
    const number = standardHeaderNumber(name.toLowerCase());
    if (number !== undefined) bits[number < 64 ? 0 : 1] |= 1n << BigInt(number % 64);
  }
  return bits;
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

/**
 * What a process has done since its target was written without need of parkable probes, and in need of them: requests
 * and connections; tasks, and calls. Whether it has made blocking calls, the map `blockers` says.
 */
export interface Use {
  readonly without: number;
  readonly needing: number;
}

export function decodeUse(value: Uint8Array): Readonly<Record<Parkable, Use>> {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const at = (offset: number) => view.getUint32(offset, true);
  return {
    server: { without: at(target.plaintext), needing: at(target.tls) },
    client: { without: at(target.clientPlaintext), needing: at(target.clientTls) },
    blocking: { without: at(target.executed), needing: 0 },
    tasks: { without: at(target.tasks), needing: at(target.inheriting) },
  };
}

/** Of a process's calls since its target was written: see struct target. */
export interface Links {
  readonly calls: number;
  readonly links: number;
  readonly unlinked: number;
}

export function decodeLinks(value: Uint8Array): Links {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
  const at = (offset: number) => view.getUint32(offset, true);
  return { calls: at(target.calls), links: at(target.links), unlinked: at(target.unlinked) };
}

/** Cookie of a uprobe: the layout, the site's number (0: it is not checked), and what its plan says beside it. */
export function probeCookie(
  layoutIndex: number,
  site: number,
  { register = 0, offset = 0 }: SiteData = {},
): bigint {
  const above =
    (BigInt(register) << BigInt(COOKIE_REGISTER_SHIFT)) |
    (BigInt(offset & 0xffff) << BigInt(COOKIE_OFFSET_SHIFT)) |
    (BigInt(site) << BigInt(COOKIE_SITE_SHIFT));
  return above | BigInt(layoutIndex);
}

type SiteData = Pick<ProbeSite, 'register' | 'offset'>;
