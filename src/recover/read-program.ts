import { svma as asSvma } from '../base/address.ts';
import { codeRanges } from '../elf/code-ranges.ts';
import { ET_EXEC } from '../elf/constants.ts';
import { readDataImage } from '../elf/data-image.ts';
import { readEhFrame } from '../elf/eh-frame.ts';
import { type ElfFile, findSection, sectionBytes } from '../elf/elf.ts';
import { loadSegments, toFileOffset } from '../elf/segments.ts';
import { isInside } from '../elf/source.ts';
import { CodeIndexer, WINDOW_OVERLAP } from './code-index.ts';
import { type CodeFunction, createProgram, type Program } from './program.ts';

const WINDOW_SIZE = 1 << 20;
const MAX_EH_FRAME = 1 << 28;

/** The program's functions and what they refer to, or why that can't be told. */
export async function readProgram(
  elf: ElfFile,
  pause: () => Promise<void>,
): Promise<Program | { readonly missing: string }> {
  const section = findSection(elf, '.eh_frame');
  if (!section) return { missing: 'it has no .eh_frame, so where its functions begin is not known' };
  const ranges = readEhFrame(sectionBytes(elf, section, MAX_EH_FRAME), section.svma);
  await pause();
  const image = readDataImage(elf);
  await pause();
  const indexer = new CodeIndexer(image, ranges, elf.header.type === ET_EXEC);
  for (const { svma, offset, size } of codeRanges(elf)) {
    for (let at = 0; at < size; at += WINDOW_SIZE) {
      const start = Math.max(0, at - WINDOW_OVERLAP);
      const bytes = elf.source.read(offset + start, Math.min(at + WINDOW_SIZE, size) - start, 'code');
      indexer.scan(bytes, svma + start, at === 0 ? 0 : WINDOW_OVERLAP - 6);
      await pause();
    }
  }
  return createProgram(image, ranges, indexer.index(), (one) => codeOf(elf, one));
}

function codeOf(elf: ElfFile, { svma, size }: CodeFunction): Uint8Array | undefined {
  const offset = toFileOffset(loadSegments(elf.segments), asSvma(svma));
  if (offset === undefined || !isInside(offset, size, elf.source.size)) return undefined;
  return elf.source.read(offset, size, 'code');
}
