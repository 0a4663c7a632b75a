import { messageOf } from '../base/errors.ts';
import { SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS } from '../elf/constants.ts';
import { type ElfFile, findSection, sectionBytes } from '../elf/elf.ts';
import { hasBytes } from '../elf/sections.ts';
import { loadSegments } from '../elf/segments.ts';
import { isInside } from '../elf/source.ts';
import { type FoundCrate, PATH_OVERLAP, scanCratePaths, startCrateScan } from '../rust/crates.ts';
import { emptyRustcPaths, type RustcPaths, scanRustcPaths } from '../rust/rustc.ts';

/** What the strings of a file tell about its sources and its compiler. */
export interface Content {
  readonly comment: string;
  readonly rustcPaths: RustcPaths;
  readonly crates: ReadonlyMap<string, FoundCrate>;
}

interface Range {
  readonly offset: number;
  readonly size: number;
}

const WINDOW_SIZE = 1 << 20;
const MAX_COMMENT = 1 << 16;
/** Allocated data without a string literal in it. */
const NO_STRINGS =
  /^\.(eh_frame|eh_frame_hdr|gcc_except_table|dynamic|got|got\.plt|init_array|fini_array|interp)$/;

export async function scanContent(
  elf: ElfFile,
  problems: string[],
  pause: () => Promise<void>,
): Promise<Content> {
  const rustcPaths = emptyRustcPaths();
  const crates = startCrateScan();
  for (const range of dataRanges(elf)) {
    for (const bytes of windows(elf, range)) {
      scanRustcPaths(bytes, rustcPaths);
      scanCratePaths(bytes, crates);
      await pause();
    }
  }
  if (crates.placesLeft === 0)
    problems.push(`${elf.name} has too many source paths: some crates may be missing`);
  return { comment: readComment(elf, problems), rustcPaths, crates: crates.found };
}

/** Read-only and initialised data; without section headers everything that is loaded. */
function dataRanges(elf: ElfFile): readonly Range[] {
  const data = elf.sections.filter(
    (section) =>
      section.type === SHT_PROGBITS &&
      (section.flags & SHF_ALLOC) !== 0 &&
      (section.flags & SHF_EXECINSTR) === 0 &&
      !NO_STRINGS.test(section.name) &&
      hasBytes(section, elf.source.size),
  );
  if (data.length > 0) return withoutOverlap(data);
  const loads = loadSegments(elf.segments).filter((load) =>
    isInside(load.fileOffset, load.fileSize, elf.source.size),
  );
  return withoutOverlap(loads.map((load) => ({ offset: load.fileOffset, size: load.fileSize })));
}

/** Each byte of the file at most once, whatever a hostile table says. */
function withoutOverlap(ranges: readonly Range[]): readonly Range[] {
  const result: Range[] = [];
  let done = 0;
  for (const { offset, size } of [...ranges].sort((a, b) => a.offset - b.offset)) {
    const start = Math.max(done, offset);
    if (offset + size > start) result.push({ offset: start, size: offset + size - start });
    done = Math.max(done, offset + size);
  }
  return result;
}

function* windows(elf: ElfFile, { offset, size }: Range): Generator<Buffer> {
  for (let at = 0; at < size; at += WINDOW_SIZE - PATH_OVERLAP) {
    yield elf.source.read(offset + at, Math.min(WINDOW_SIZE, size - at), 'data');
    if (at + WINDOW_SIZE >= size) return;
  }
}

function readComment(elf: ElfFile, problems: string[]): string {
  const section = findSection(elf, '.comment');
  if (section === undefined || section.size > MAX_COMMENT) return '';
  try {
    return sectionBytes(elf, section).toString('latin1');
  } catch (error) {
    problems.push(messageOf(error));
    return '';
  }
}
