import type { FileOffset } from '../base/address.ts';

/** What the loader needs from the caller to bring the BPF object to life. */
export interface KernelOptions {
  /** Bytes of the committed bpf/agent.bpf.o. */
  readonly object: Uint8Array;
  /** Ring buffer size in bytes, a power of two. */
  readonly ringSize: number;
  /** Values for `const volatile` variables of the object by name, set before load. */
  readonly constants: Readonly<Record<string, number | bigint>>;
  /** Programs to load at once, by function name; others when they are asked for. */
  readonly programs: readonly string[];
  /** Maps that no loaded program uses and that are not made. */
  readonly unusedMaps?: readonly string[];
  /** Overrides of max_entries by map name. */
  readonly mapSizes?: Readonly<Record<string, number>>;
}

export interface UprobeSite {
  readonly offset: FileOffset;
  /** Read by the program with bpf_get_attach_cookie. */
  readonly cookie: bigint;
}

/** A map of the loaded object. Keys and values are exact-size byte strings. */
export interface BpfMap {
  readonly name: string;
  readonly keySize: number;
  readonly valueSize: number;
  update(key: Uint8Array, value: Uint8Array): void;
  /** False when the key was there already: its value stays. */
  add(key: Uint8Array, value: Uint8Array): boolean;
  /** For per-CPU maps: the values of all CPUs one after the other, each padded to 8 bytes. */
  lookup(key: Uint8Array): Uint8Array | undefined;
  /** False when the key was not there. */
  delete(key: Uint8Array): boolean;
}

/**
 * Calls `onRecord(words, bytes, byteOffset, length)` for each record; `byteOffset` is the payload's place in
 * both views of the mapped ring. The views stay valid until the call returns; copy what must live longer.
 */
export type RecordHandler = (view: DataView, bytes: Buffer, byteOffset: number, length: number) => void;

export interface RingReader {
  /** Handles at most `limit` records; returns how many. Never blocks. */
  drain(onRecord: RecordHandler, limit: number): number;
  /** Bytes waiting in the ring now. */
  pending(): number;
}

/** Something attached; disposing detaches. */
export interface Link extends Disposable {
  readonly description: string;
}

/** The loaded object. Disposing closes everything: links first, then programs and maps. */
export interface Kernel extends Disposable {
  readonly ring: RingReader;
  map(name: string): BpfMap;
  /** Loads those of the programs that are not loaded yet, side by side. A failure leaves the others loaded. */
  load(programs: readonly string[]): Promise<void>;
  /** Attaches a loaded `tp_btf/...` program. */
  attachTracepoint(program: string): Link;
  /** Runs a loaded `sk_msg` program on what is sent by the sockets in a map, from their addition on. */
  attachToSockets(program: string, map: string): void;
  /** Runs a loaded `sockops` program for the sockets of a cgroup (its folder) and those below. */
  attachToCgroup(program: string, folder: string): Link;
  /** Attaches a loaded `uprobe.multi` program to sites of one file: all or nothing. */
  attachUprobes(program: string, path: string, sites: readonly UprobeSite[]): Link;
}
