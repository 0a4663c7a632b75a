import { messageOf } from '../base/errors.ts';
import { SHF_ALLOC, SHF_EXECINSTR, SHT_PROGBITS } from '../elf/constants.ts';
import { type ElfFile, findSection, sectionBytes } from '../elf/elf.ts';
import { hasBytes } from '../elf/sections.ts';
import { loadSegments } from '../elf/segments.ts';
import { isInside } from '../elf/source.ts';
import { type Audit, parseAudit } from '../rust/audit.ts';
import { type FoundCrate, PATH_OVERLAP, scanCratePaths, startCrateScan } from '../rust/crates.ts';
import { emptyRustcPaths, type RustcPaths, scanRustcPaths } from '../rust/rustc.ts';

/** What the strings of a file tell about its sources and its compiler. */
export interface Content {
  readonly comment: string;
  readonly rustcPaths: RustcPaths;
  /** From source paths. */
  readonly crates: ReadonlyMap<string, FoundCrate>;
  /** From `.dep-v0`: what cargo-auditable recorded, complete. */
  readonly audited: Audit;
}

interface Range {
  readonly offset: number;
  readonly size: number;
}

const WINDOW_SIZE = 1 << 20;
const MAX_COMMENT = 1 << 16;
const MAX_LINES = 1 << 26;
const MAX_AUDIT = 1 << 20;
/** Allocated data without a string literal in it. */
const NO_STRINGS =
  /^\.(eh_frame|eh_frame_hdr|gcc_except_table|dynamic|got|got\.plt|init_array|fini_array|interp)$/;

/** `debug` is the separate debug file; its line tables name crates that the program's own data does not. */
export async function scanContent(
  elf: ElfFile,
  debug: ElfFile | undefined,
  problems: string[],
  pause: () => Promise<void>,
): Promise<Content> {
  const rustcPaths = emptyRustcPaths();
  const crates = startCrateScan();
  const pieces = [dataPieces(elf), linePieces(elf, problems), debug ? linePieces(debug, problems) : []];
  for (const piece of pieces) {
    for (const bytes of piece) {
      scanRustcPaths(bytes, rustcPaths);
      scanCratePaths(bytes, crates);
      await pause();
    }
  }
  if (crates.placesLeft === 0) {
    problems.push(`${elf.name} has too many source paths: some crates may be missing`);
  }
  return {
    comment: smallSection(elf, '.comment', MAX_COMMENT, problems).toString('latin1'),
    rustcPaths,
    crates: crates.found,
    audited: readAudit(elf, problems),
  };
}

function* dataPieces(elf: ElfFile): Generator<Buffer> {
  for (const range of dataRanges(elf)) yield* windows(elf, range);
}

/** DWARF 5 keeps the folders of source files in `.debug_line_str`, earlier versions in `.debug_line`. */
function* linePieces(elf: ElfFile, problems: string[]): Generator<Buffer> {
  for (const name of ['.debug_line_str', '.debug_line']) {
    const bytes = smallSection(elf, name, MAX_LINES, problems);
    for (let at = 0; at < bytes.length; at += WINDOW_SIZE - PATH_OVERLAP) {
      yield bytes.subarray(at, at + WINDOW_SIZE);
      if (at + WINDOW_SIZE >= bytes.length) break;
    }
  }
}

const NO_AUDIT: Audit = { crates: [], packageVersion: undefined };

function readAudit(elf: ElfFile, problems: string[]): Audit {
  const bytes = smallSection(elf, '.dep-v0', MAX_AUDIT, problems);
  if (bytes.length === 0) return NO_AUDIT;
  try {
    return parseAudit(bytes);
  } catch (error) {
    problems.push(messageOf(error));
    return NO_AUDIT;
  }
}

/** The section's bytes, or none when it is absent or cannot be read; the reason goes to `problems`. */
function smallSection(elf: ElfFile, name: string, limit: number, problems: string[]): Buffer {
  const section = findSection(elf, name);
  if (section === undefined) return Buffer.alloc(0);
  try {
    return sectionBytes(elf, section, limit);
  } catch (error) {
    problems.push(messageOf(error));
    return Buffer.alloc(0);
  }
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
