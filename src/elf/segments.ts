import { type FileOffset, fileOffset, type Svma, svma } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { Reader } from '../base/reader.ts';
import { PF_X, PN_XNUM, PT_LOAD } from './constants.ts';
import type { ElfHeader } from './header.ts';
import type { Section } from './sections.ts';
import { type ByteSource, isInside } from './source.ts';

/** Elf64_Phdr. Sizes in bytes. */
export interface Segment {
  readonly type: number;
  readonly flags: number;
  readonly fileOffset: FileOffset;
  readonly svma: Svma;
  readonly fileSize: number;
  readonly memSize: number;
  readonly align: number;
}

const PHDR_SIZE = 56;
/** Linux refuses to run a program whose headers take more than 64 KiB. */
const MAX_SEGMENTS = Math.floor(65536 / PHDR_SIZE);

export function readSegments(
  source: ByteSource,
  name: string,
  header: ElfHeader,
  sections: readonly Section[],
): readonly Segment[] {
  const escaped = header.programHeaderCount === PN_XNUM;
  const count = escaped ? (sections[0]?.info ?? 0) : header.programHeaderCount;
  if (count === 0) return [];
  const { programHeaderOffset: offset, programHeaderSize: size } = header;
  if (size !== PHDR_SIZE)
    throw new UserError(`${name} is damaged: program headers of ${size} bytes, not ${PHDR_SIZE}`);
  if (count > MAX_SEGMENTS)
    throw new UserError(`${name} is damaged: ${count} program headers, at most ${MAX_SEGMENTS} can run`);
  if (!isInside(offset, count * size, source.size)) {
    throw new UserError(
      `${name} is truncated: its program headers end at byte ${offset + count * size}, the file has ${source.size} bytes`,
    );
  }
  const reader = new Reader(source.read(offset, count * size, 'program headers'), offset);
  return Array.from({ length: count }, () => readSegment(reader));
}

function readSegment(reader: Reader): Segment {
  const type = reader.u32('p_type');
  const flags = reader.u32('p_flags');
  const offset = fileOffset(reader.u64('p_offset'));
  const address = svma(Number(reader.u64Big('p_vaddr')));
  reader.skip(8, 'p_paddr');
  return {
    type,
    flags,
    fileOffset: offset,
    svma: address,
    fileSize: reader.u64('p_filesz'),
    memSize: Number(reader.u64Big('p_memsz')),
    align: Number(reader.u64Big('p_align')),
  };
}

/** What the conversions need of a PT_LOAD segment. */
export interface LoadRange {
  readonly fileOffset: FileOffset;
  readonly svma: Svma;
  readonly fileSize: number;
}

export function loadSegments(segments: readonly Segment[]): readonly Segment[] {
  return segments.filter((segment) => segment.type === PT_LOAD);
}

export function isExecutable(segment: Segment): boolean {
  return (segment.flags & PF_X) !== 0;
}

/** file offset = svma - p_vaddr + p_offset, for addresses whose bytes are in the file. */
export function toFileOffset(loads: readonly LoadRange[], address: Svma): FileOffset | undefined {
  const load = loads.find((range) => address >= range.svma && address - range.svma < range.fileSize);
  return load && fileOffset(address - load.svma + load.fileOffset);
}

/** svma = file offset - p_offset + p_vaddr. The first segment wins where two map the same bytes. */
export function toSvma(loads: readonly LoadRange[], offset: FileOffset): Svma | undefined {
  const load = loads.find(
    (range) => offset >= range.fileOffset && offset - range.fileOffset < range.fileSize,
  );
  return load && svma(offset - load.fileOffset + load.svma);
}
