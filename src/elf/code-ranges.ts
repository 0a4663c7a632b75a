import { SHF_EXECINSTR } from './constants.ts';
import type { ElfFile } from './elf.ts';
import { hasBytes } from './sections.ts';
import { isExecutable, loadSegments } from './segments.ts';
import { isInside } from './source.ts';

/** Code as it lies in the file. `size` in bytes. */
export interface CodeRange {
  readonly svma: number;
  readonly offset: number;
  readonly size: number;
}

/** Executable sections by address; without section headers the executable segments. */
export function codeRanges(elf: ElfFile): readonly CodeRange[] {
  const sections = elf.sections.filter(
    (section) => (section.flags & SHF_EXECINSTR) !== 0 && hasBytes(section, elf.source.size),
  );
  const segments = loadSegments(elf.segments)
    .filter((load) => isExecutable(load) && isInside(load.fileOffset, load.fileSize, elf.source.size))
    .map((load) => ({ svma: load.svma, offset: load.fileOffset, size: load.fileSize }));
  return (sections.length > 0 ? sections : segments).toSorted((a, b) => a.svma - b.svma);
}
