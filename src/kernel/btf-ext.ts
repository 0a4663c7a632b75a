import { Reader } from '../base/reader.ts';
import type { Btf } from './btf.ts';

/** One table of .BTF.ext for one code section: fixed-size records whose first word is a byte offset in it. */
export interface ExtRecords {
  readonly recordSize: number;
  readonly bytes: Buffer;
}

/** What clang says about the instructions of each section, by section name. */
export interface BtfExt {
  readonly functions: ReadonlyMap<string, ExtRecords>;
  readonly lines: ReadonlyMap<string, ExtRecords>;
  readonly relocations: ReadonlyMap<string, readonly CoreRelocation[]>;
}

/** struct bpf_core_relo: where an instruction depends on the layout of the kernel's types. */
export interface CoreRelocation {
  /** Byte offset of the instruction in its section. */
  readonly offset: number;
  /** Type id in the object's own BTF. */
  readonly type: number;
  /** Member and array indexes: "0:1:2". */
  readonly access: string;
  readonly kind: number;
}

const MAGIC = 0xeb9f;
const HEADER_MIN = 24;
const CORE_RECORD_SIZE = 16;
const EMPTY: BtfExt = { functions: new Map(), lines: new Map(), relocations: new Map() };

/** Layout: header, then func_info, line_info and core_relo tables, each a record size and one run a section. */
export function parseBtfExt(bytes: Uint8Array | undefined, btf: Btf): BtfExt {
  if (!bytes) return EMPTY;
  const reader = new Reader(bytes);
  const magic = reader.u16('.BTF.ext magic');
  if (magic !== MAGIC)
    throw new Error(`Cannot read .BTF.ext: magic 0x${magic.toString(16)}, expected 0xeb9f`);
  reader.skip(2, '.BTF.ext version');
  const headerSize = reader.u32('.BTF.ext header size');
  const table = (what: string) => {
    const offset = reader.u32(`${what} offset`);
    const size = reader.u32(`${what} size`);
    return () => readTable(bytes, headerSize + offset, size, btf, what);
  };
  const functions = table('func_info');
  const lines = table('line_info');
  const core = headerSize > HEADER_MIN ? table('core_relo') : () => new Map<string, ExtRecords>();
  return { functions: functions(), lines: lines(), relocations: coreRelocations(core(), btf) };
}

function readTable(
  bytes: Uint8Array,
  start: number,
  size: number,
  btf: Btf,
  what: string,
): Map<string, ExtRecords> {
  const reader = new Reader(bytes);
  reader.seek(start, what);
  const table = new Reader(reader.take(size, what), start);
  const result = new Map<string, ExtRecords>();
  if (size === 0) return result;
  const recordSize = table.u32(`${what} record size`);
  if (recordSize < 8 || recordSize % 4 !== 0)
    throw new Error(`Cannot read ${what}: record size ${recordSize}`);
  while (table.remaining > 0) {
    const section = btf.string(table.u32(`${what} section name`));
    const records = table.take(table.u32(`${what} count`) * recordSize, `${what} of ${section}`);
    const copy = Buffer.from(records);
    result.set(section, { recordSize, bytes: copy });
  }
  return result;
}

function coreRelocations(tables: Map<string, ExtRecords>, btf: Btf): Map<string, readonly CoreRelocation[]> {
  const result = new Map<string, readonly CoreRelocation[]>();
  for (const [section, { recordSize, bytes }] of tables) {
    if (recordSize < CORE_RECORD_SIZE)
      throw new Error(`Cannot read core_relo of ${section}: record size ${recordSize}`);
    const relocations: CoreRelocation[] = [];
    for (let at = 0; at < bytes.length; at += recordSize) {
      relocations.push({
        offset: bytes.readUInt32LE(at),
        type: bytes.readUInt32LE(at + 4),
        access: btf.string(bytes.readUInt32LE(at + 8)),
        kind: bytes.readUInt32LE(at + 12),
      });
    }
    result.set(section, relocations);
  }
  return result;
}
