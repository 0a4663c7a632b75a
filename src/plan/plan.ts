import type { FileOffset, Svma } from '../base/address.ts';

/** What a span can be made of. The plan names a source for each, or says why there is none. */
export const DATA = [
  'http.server.plaintext',
  'http.server.tls',
  'http.route',
  'http.client.plaintext',
  'http.client.tls',
  'http.client.call',
  'http2.server',
  'http2.client',
  'rpc.call',
  'tokio.task',
  'tokio.spawn',
  'panic',
] as const;
export type Datum = (typeof DATA)[number];

export interface SourceChoice {
  readonly datum: Datum;
  /** `socket`: kernel tracepoints; `library`: uprobes of this plan; `tls-slot`: read from thread-local storage. */
  readonly source: 'socket' | 'library' | 'tls-slot' | 'none';
  /** A sentence for the user: why this one, or why none. */
  readonly reason: string;
}

/** BPF programs a probe can run (names of functions in bpf/agent.bpf.c). */
export const PROGRAMS = [
  'hyper_server_parse',
  'hyper_server_parse_at',
  'hyper_server_encode',
  'hyper_server_write_head',
  'axum_set_matched_path',
  'axum_set_matched_path_at',
  'tokio_task_new',
  'hyper_client_call',
  'hyper_client_call_at',
  'hyper_client_send',
  'hyper_client_encode',
  'hyper_client_write_head',
  'hyper_client_parse',
  'hyper_client_parse_at',
  'hyper_client_drop',
  'hyper_client_encoded',
  'reqwest_error',
  'reqwest_blocking_call',
  'reqwest_execute',
  'rust_panic',
  'h2_recv_headers',
  'h2_recv_trailers',
  'h2_take_request',
  'h2_send_request',
  'h2_send_headers',
  'h2_send_trailers',
  'h2_send_reset',
  'h2_cancel',
  'h2_recv_reset',
  'h2_closed',
  'h2_go_away',
  'tonic_call',
  'tonic_drop',
] as const;
export type ProgramName = (typeof PROGRAMS)[number];

/** One instruction that gets a uprobe. */
export interface ProbeSite {
  /** `hyper.server.parse`: library, then what happens there. */
  readonly hook: string;
  readonly program: ProgramName;
  readonly svma: Svma;
  readonly fileOffset: FileOffset;
  /** Demangled function that holds the site, and the site's distance from its entry in bytes. */
  readonly functionName: string;
  readonly functionOffset: number;
  /** Disassembly of the probed instruction, Intel syntax. */
  readonly instruction: string;
  /** `emulated`: the kernel runs it without a single step (0.4–0.7 µs); `single-stepped`: 5–17 µs. */
  readonly cost: 'emulated' | 'single-stepped';
  /**
   * The register's number in x86 encodings. Of a site in the middle of a function: where the datum is. `h2_*`: the
   * frame's in the lower four bits, the stream's in the next four; `axum_set_matched_path_at`: the route's number's and the
   * map's; `hyper_*_parse`: the buffer's and the ParseContext's.
   */
  readonly register?: number;
  /**
   * Bytes. `hyper_client_call`: how far behind the start of the request's head rsi points; `hyper_client_call_at`: how far
   * the register does, negative where it points before it; `hyper_client_drop`: where in
   * the future its state is, 0xffff when unknown; `reqwest_blocking_call` and `reqwest_execute`: where in their
   * request, which `register` points to, the pointer of the URL's text is; `h2_send_trailers`: what is added to the
   * pointer that names the connection.
   */
  readonly offset?: number;
  readonly evidence: string;
}

/** A hook that was wanted and isn't there. */
export interface MissingHook {
  readonly hook: string;
  readonly reason: string;
}

/** Member offsets the BPF side needs, bytes. Mirrors `struct binary_layout` of bpf/events.h. */
export interface BinaryLayout {
  readonly parseContextReqMethod: number;
  readonly encodeHead: number;
  readonly encodeReqMethod: number;
  readonly headStatus: number;
  /** Size in bytes of the status field: 2. */
  readonly bytesMutPointer: number;
  readonly bytesMutLength: number;
}

/** What the client side needs beside `BinaryLayout`, bytes; the members of that name in bpf/events.h. */
export interface ClientLayout {
  readonly clientEncodeHead: number;
  readonly clientEncodeReqMethod: number;
  readonly clientHeadEntries: number;
  readonly clientHeadPath: number;
  readonly clientParseReqMethod: number;
  readonly requestMethod: number;
  readonly requestScheme: number;
  readonly requestAuthority: number;
  readonly requestPath: number;
  readonly requestEntries: number;
  readonly requestEntriesLength: number;
  readonly requestEntriesCapacity: number;
}

/** What HTTP/2 needs, bytes; the members of that name in bpf/events.h. */
export interface StreamLayout {
  readonly entrySize: number;
  readonly entryName: number;
  readonly entryNameCustom: number;
  readonly entryNameTag: number;
  readonly entryValue: number;
  readonly frameEntries: number;
  readonly frameEntriesLength: number;
  readonly frameMethod: number;
  readonly frameScheme: number;
  readonly frameAuthority: number;
  readonly framePath: number;
  readonly frameProtocol: number;
  readonly frameTextPresent: number;
  readonly frameStatus: number;
  readonly streamStore: number;
  readonly streamId: number;
  readonly streamsInner: number;
  readonly innerStore: number;
  readonly goAwayLastId: number;
}

/**
 * Where the running thread's Tokio task id lies. `threadPointerOffset` is relative to the thread pointer
 * (fs base, usually negative) and points to the CONTEXT variable; tag and id are offsets inside it.
 */
export interface TaskSlot {
  readonly threadPointerOffset: number;
  /** Offset of the `Option<Id>` discriminant (u64, 1 = some), or undefined where id 0 means none (NonZeroU64). */
  readonly tagOffset: number | undefined;
  readonly idOffset: number;
  readonly tokioVersion: string;
  /** Found in code, not by a symbol: that it follows the tasks must show at run time before it tells anything. */
  readonly recovered?: true;
  readonly evidence: string;
}

/** How axum's RouteId → template table lies in memory, for the kernel side. Offsets and sizes in bytes. */
export interface RouteTableLayout {
  readonly controlPointer: number;
  readonly bucketMask: number;
  /** Two u64 of std's RandomState. */
  readonly hasherKeys: number;
  readonly bucketSize: number;
  /** Offsets inside a bucket. */
  readonly routeId: number;
  readonly templatePointer: number;
  readonly templateLength: number;
  /** `Arc<str>`: bytes between the pointer and the first character. */
  readonly arcHeader: number;
  readonly evidence: string;
}

export interface RecognisedLibrary {
  readonly name: string;
  readonly version: string | undefined;
  readonly evidence: string;
}

/** Of the layouts that the plan has. */
export interface LayoutEvidence {
  readonly layout?: string;
  readonly clientLayout?: string;
  readonly streamLayout?: string;
}

/**
 * Where trace context can be written into requests under TLS: where hyper's encoder returns. The one thing that changes
 * a program's memory; attached only when the user asks for it.
 */
export interface Injection {
  readonly sites: readonly ProbeSite[];
  /** Why there are none. */
  readonly missing?: string;
}

/** Everything that will be done to one binary. Pure: same file, same plan, byte for byte, on any machine. */
export interface Plan {
  readonly formatVersion: 1;
  readonly binary: {
    readonly buildId: string | undefined;
    readonly fileSize: number;
    readonly rustcVersion: string | undefined;
    readonly rustcCommit: string | undefined;
    /** Absent where the binary does not tell. */
    readonly packageVersion?: string;
  };
  readonly libraries: readonly RecognisedLibrary[];
  readonly sources: readonly SourceChoice[];
  readonly probes: readonly ProbeSite[];
  readonly injection: Injection;
  readonly layout: BinaryLayout | undefined;
  readonly clientLayout: ClientLayout | undefined;
  readonly streamLayout: StreamLayout | undefined;
  /** Where the numbers of the three are from: DWARF, or the row of a table. */
  readonly layoutEvidence: LayoutEvidence;
  readonly taskSlot: TaskSlot | undefined;
  readonly routeTable: RouteTableLayout | undefined;
  readonly missing: readonly MissingHook[];
}

/** Which source to use for HTTP server requests; `auto` takes the cheapest sure one for each connection. */
export const TIERS = ['auto', 'socket', 'library'] as const;
export type Tier = (typeof TIERS)[number];
