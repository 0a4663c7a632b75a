import { Reader } from '../base/reader.ts';

/** Code ranges [start, end) by start, each start once. */
export interface FunctionRanges {
  readonly starts: Float64Array;
  readonly ends: Float64Array;
}

/** DW_EH_PE_*: the lower four bits say how a value is stored, the next three what is added to it. */
const DW_EH_PE_ABSPTR = 0x00;
const DW_EH_PE_UDATA2 = 0x02;
const DW_EH_PE_UDATA4 = 0x03;
const DW_EH_PE_UDATA8 = 0x04;
const DW_EH_PE_SDATA2 = 0x0a;
const DW_EH_PE_SDATA4 = 0x0b;
const DW_EH_PE_SDATA8 = 0x0c;
const DW_EH_PE_PCREL = 0x10;
const DW_EH_PE_OMIT = 0xff;
/** A length of this value is followed by the real one in 64 bits. */
const EXTENDED_LENGTH = 0xffffffff;

/** What an FDE needs of its CIE: how its addresses are stored. Undefined where that is not supported. */
type AddressEncoding = number | undefined;

/**
 * The functions that `.eh_frame` describes (Linux Standard Base, "Exception Frames"): every one that a Rust compiler
 * makes, with its exact size. `svma` is the section's. Reads up to the first record that makes no sense.
 */
export function readEhFrame(bytes: Uint8Array, svma: number): FunctionRanges {
  const reader = new Reader(bytes, svma);
  const encodings = new Map<number, AddressEncoding>();
  const found: Array<readonly [start: number, end: number]> = [];
  for (let record = nextRecord(reader); record; record = nextRecord(reader)) {
    try {
      const range = readRecord(reader, record, encodings, svma);
      if (range) found.push(range);
    } catch {
      // A record whose fields run past its end says nothing of those behind it.
    }
    reader.seek(record.end, 'next record');
  }
  return sortRanges(found);
}

interface FrameRecord {
  readonly start: number;
  readonly idAt: number;
  readonly end: number;
}

/** Undefined at the terminator, at the end, and where the length runs past the section. */
function nextRecord(reader: Reader): FrameRecord | undefined {
  if (reader.remaining < 8) return undefined;
  const start = reader.position;
  const short = reader.u32('length');
  if (short === 0 || (short === EXTENDED_LENGTH && reader.remaining < 12)) return undefined;
  const length = short === EXTENDED_LENGTH ? Number(reader.u64Big('extended length')) : short;
  if (length < 4 || length > reader.remaining) return undefined;
  return { start, idAt: reader.position, end: reader.position + length };
}

function readRecord(
  reader: Reader,
  { start, idAt, end }: FrameRecord,
  encodings: Map<number, AddressEncoding>,
  svma: number,
): readonly [number, number] | undefined {
  const id = reader.u32('CIE id');
  if (id === 0) {
    encodings.set(start, readCie(reader));
    return undefined;
  }
  const encoding = encodings.get(idAt - id);
  if (encoding === undefined) return undefined;
  const at = svma + reader.position;
  const stored = readValue(reader, encoding, 'pc_begin');
  const size = readValue(reader, unsigned(encoding), 'pc_range');
  const begin = (encoding & 0x70) === DW_EH_PE_PCREL ? at + stored : stored;
  return reader.position <= end && begin > 0 && size > 0 ? [begin, begin + size] : undefined;
}

/** The encoding of addresses in the CIE's FDEs, from the `R` of its augmentation. */
function readCie(reader: Reader): AddressEncoding {
  const version = reader.u8('CIE version');
  if (version !== 1 && version !== 3) return undefined;
  const augmentation = reader.cstring('augmentation');
  skipLeb128(reader);
  skipLeb128(reader);
  if (version === 1) reader.u8('return address register');
  else skipLeb128(reader);
  if (augmentation === '') return DW_EH_PE_ABSPTR;
  if (!augmentation.startsWith('z')) return undefined;
  skipLeb128(reader);
  return supported(encodingOf(reader, augmentation));
}

function encodingOf(reader: Reader, augmentation: string): AddressEncoding {
  for (const letter of augmentation.slice(1)) {
    if (letter === 'R') return reader.u8('FDE encoding');
    if (letter === 'L') reader.u8('LSDA encoding');
    else if (letter === 'P') {
      const encoding = supported(reader.u8('personality encoding') & 0x7f);
      if (encoding === undefined) return undefined;
      readValue(reader, encoding, 'personality');
    } else if (letter !== 'S' && letter !== 'B') return undefined;
  }
  return DW_EH_PE_ABSPTR;
}

function supported(encoding: AddressEncoding): AddressEncoding {
  if (encoding === undefined || encoding === DW_EH_PE_OMIT) return undefined;
  const base = encoding & 0xf0;
  return base === 0 || base === DW_EH_PE_PCREL ? encoding : undefined;
}

/** The same width without sign. */
const unsigned = (encoding: number): number => encoding & 0x07;

function readValue(reader: Reader, encoding: number, what: string): number {
  switch (encoding & 0x0f) {
    case DW_EH_PE_ABSPTR:
    case DW_EH_PE_UDATA8:
      return Number(reader.u64Big(what));
    case DW_EH_PE_SDATA8:
      return Number(reader.i64Big(what));
    case DW_EH_PE_UDATA4:
      return reader.u32(what);
    case DW_EH_PE_SDATA4:
      return reader.i32(what);
    case DW_EH_PE_UDATA2:
      return reader.u16(what);
    case DW_EH_PE_SDATA2:
      return (reader.u16(what) << 16) >> 16;
    default:
      throw new Error(`Cannot read ${what}: encoding ${encoding}`);
  }
}

function skipLeb128(reader: Reader): void {
  while ((reader.u8('LEB128') & 0x80) !== 0);
}

function sortRanges(found: Array<readonly [start: number, end: number]>): FunctionRanges {
  found.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const unique = found.filter(([start], index) => found[index - 1]?.[0] !== start);
  return {
    starts: Float64Array.from(unique, ([start]) => start),
    ends: Float64Array.from(unique, ([, end]) => end),
  };
}
