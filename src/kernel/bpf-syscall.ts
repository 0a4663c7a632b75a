import { AttributeBlock, cString, SYS, SystemCallError, syscall, syscallAside } from './libc.ts';

/** enum bpf_cmd, include/uapi/linux/bpf.h. */
const COMMAND = {
  MAP_CREATE: 0,
  MAP_LOOKUP_ELEM: 1,
  MAP_UPDATE_ELEM: 2,
  MAP_DELETE_ELEM: 3,
  PROG_LOAD: 5,
  PROG_ATTACH: 8,
  RAW_TRACEPOINT_OPEN: 17,
  BTF_LOAD: 18,
  MAP_FREEZE: 22,
  LINK_CREATE: 28,
} as const;

export const PROG_TYPE = { KPROBE: 2, SOCK_OPS: 13, SK_MSG: 16, TRACING: 26 } as const;
export const ATTACH_TYPE = {
  NONE: 0,
  CGROUP_SOCK_OPS: 3,
  SK_MSG_VERDICT: 7,
  TRACE_RAW_TP: 23,
  PERF_EVENT: 41,
  TRACE_UPROBE_MULTI: 48,
} as const;

/** sizeof(union bpf_attr) we use; the kernel accepts a longer block whose unknown tail is zero. */
const ATTR_SIZE = 152;
const OBJECT_NAME_MAX = 15;
const BPF_NOEXIST = 1n;

/** Returns the command's result or `-errno`. */
function bpf(command: number, attributes: AttributeBlock): number {
  const size = BigInt(attributes.bytes.length);
  return attributes.pass((address) => syscall(SYS.bpf, BigInt(command), address, size));
}

function bpfOrThrow(action: string, command: number, attributes: AttributeBlock): number {
  const result = bpf(command, attributes);
  if (result < 0) throw new SystemCallError(action, -result);
  return result;
}

/** The kernel's names are 15 characters of [A-Za-z0-9_.]. */
function objectName(name: string): Buffer {
  return Buffer.from(name.replace(/[^A-Za-z0-9_.]/g, '_').slice(0, OBJECT_NAME_MAX), 'latin1');
}

export interface MapCreation {
  readonly name: string;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly btf?: { readonly fd: number; readonly keyType: number; readonly valueType: number };
}

/** Returns the descriptor or `-errno`. */
export function tryCreateMap(map: MapCreation): number {
  const block = new AttributeBlock(ATTR_SIZE)
    .u32(0, map.type)
    .u32(4, map.keySize)
    .u32(8, map.valueSize)
    .u32(12, map.maxEntries)
    .u32(16, map.flags);
  objectName(map.name).copy(block.bytes, 28);
  if (map.btf) block.u32(48, map.btf.fd).u32(52, map.btf.keyType).u32(56, map.btf.valueType);
  return bpf(COMMAND.MAP_CREATE, block);
}

const element = (fd: number, key: Uint8Array, value?: Uint8Array): AttributeBlock => {
  const block = new AttributeBlock(32).u32(0, fd).pointer(8, key);
  return value ? block.pointer(16, value) : block;
};

/** 0 or `-errno`. */
export const updateElement = (fd: number, key: Uint8Array, value: Uint8Array): number =>
  bpf(COMMAND.MAP_UPDATE_ELEM, element(fd, key, value));
/** As `updateElement`, `-EEXIST` when the key is there. */
export const addElement = (fd: number, key: Uint8Array, value: Uint8Array): number =>
  bpf(COMMAND.MAP_UPDATE_ELEM, element(fd, key, value).u64(24, BPF_NOEXIST));
export const lookupElement = (fd: number, key: Uint8Array, value: Uint8Array): number =>
  bpf(COMMAND.MAP_LOOKUP_ELEM, element(fd, key, value));
export const deleteElement = (fd: number, key: Uint8Array): number =>
  bpf(COMMAND.MAP_DELETE_ELEM, element(fd, key));

export function freezeMap(name: string, fd: number): void {
  bpfOrThrow(`freeze map ${name}`, COMMAND.MAP_FREEZE, new AttributeBlock(ATTR_SIZE).u32(0, fd));
}

/** Returns the descriptor or `-errno`. */
export function tryLoadBtf(bytes: Uint8Array, log?: Buffer): number {
  const block = new AttributeBlock(ATTR_SIZE).pointer(0, bytes).u32(16, bytes.length);
  if (log) block.pointer(8, log).u32(20, log.length).u32(24, 1);
  return bpf(COMMAND.BTF_LOAD, block);
}

export interface InfoRecords {
  readonly recordSize: number;
  readonly bytes: Uint8Array;
}

export interface ProgramLoad {
  readonly name: string;
  readonly type: number;
  readonly expectedAttachType: number;
  readonly instructions: Uint8Array;
  readonly license: string;
  /** Type id in the kernel's BTF that a tracing program attaches to; 0 for others. */
  readonly attachBtfId: number;
  readonly btfFd?: number;
  readonly functionInfo?: InfoRecords;
  readonly lineInfo?: InfoRecords;
}

/** Returns the descriptor or `-errno`. With `log` the verifier writes its reasoning there. */
export function tryLoadProgram(program: ProgramLoad, log?: Buffer): number {
  return bpf(COMMAND.PROG_LOAD, programAttributes(program, log));
}

/** The same on a thread of its own, since the verifier takes its time: the descriptor, or -1. */
export function tryLoadProgramAside(program: ProgramLoad): Promise<number> {
  const block = programAttributes(program);
  const size = BigInt(block.bytes.length);
  return block.passAside((address) => syscallAside(SYS.bpf, BigInt(COMMAND.PROG_LOAD), address, size));
}

function programAttributes(program: ProgramLoad, log?: Buffer): AttributeBlock {
  const block = new AttributeBlock(ATTR_SIZE)
    .u32(0, program.type)
    .u32(4, program.instructions.length / 8)
    .pointer(8, program.instructions)
    .pointer(16, cString(program.license))
    .u32(68, program.expectedAttachType)
    .u32(108, program.attachBtfId);
  objectName(program.name).copy(block.bytes, 48);
  if (log) block.u32(24, 1).u32(28, log.length).pointer(32, log);
  if (program.btfFd !== undefined) block.u32(72, program.btfFd);
  const { functionInfo, lineInfo } = program;
  if (functionInfo) {
    const count = functionInfo.bytes.length / functionInfo.recordSize;
    block.u32(76, functionInfo.recordSize).pointer(80, functionInfo.bytes).u32(88, count);
  }
  if (lineInfo) {
    const count = lineInfo.bytes.length / lineInfo.recordSize;
    block.u32(92, lineInfo.recordSize).pointer(96, lineInfo.bytes).u32(104, count);
  }
  return block;
}

/** Attaches a tp_btf program to the tracepoint it was loaded for. Link descriptor or `-errno`. */
export function tryOpenRawTracepoint(programFd: number): number {
  return bpf(COMMAND.RAW_TRACEPOINT_OPEN, new AttributeBlock(16).u32(8, programFd));
}

/** Link descriptor or `-errno`. */
export function tryLinkUprobeMulti(
  programFd: number,
  path: string,
  offsets: BigUint64Array,
  cookies: BigUint64Array | undefined,
): number {
  const bytesOf = (words: BigUint64Array) => new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const block = new AttributeBlock(64)
    .u32(0, programFd)
    .u32(8, ATTACH_TYPE.TRACE_UPROBE_MULTI)
    .pointer(16, cString(path))
    .pointer(24, bytesOf(offsets))
    .u32(48, offsets.length);
  if (cookies) block.pointer(40, bytesOf(cookies));
  return bpf(COMMAND.LINK_CREATE, block);
}

/** Link descriptor or `-errno`. Closing it detaches; the perf event stays open until its own close. */
export function tryLinkPerfEvent(programFd: number, perfFd: number, cookie: bigint): number {
  const block = new AttributeBlock(48).u32(0, programFd).u32(4, perfFd).u32(8, ATTACH_TYPE.PERF_EVENT);
  return bpf(COMMAND.LINK_CREATE, block.u64(16, cookie));
}

/** Gives a map of sockets its sk_msg program, which goes with the map. 0 or `-errno`. */
export function tryAttachToSockets(programFd: number, mapFd: number): number {
  const block = new AttributeBlock(20).u32(0, mapFd).u32(4, programFd).u32(8, ATTACH_TYPE.SK_MSG_VERDICT);
  return bpf(COMMAND.PROG_ATTACH, block);
}

/** Link descriptor or `-errno`. Programs of others on the same cgroup stay. */
export function tryLinkCgroup(programFd: number, cgroupFd: number): number {
  const block = new AttributeBlock(16).u32(0, programFd).u32(4, cgroupFd).u32(8, ATTACH_TYPE.CGROUP_SOCK_OPS);
  return bpf(COMMAND.LINK_CREATE, block);
}
