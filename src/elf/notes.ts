import { Reader } from '../base/reader.ts';
import { NT_GNU_BUILD_ID, PT_NOTE, SHT_NOTE } from './constants.ts';
import type { ElfFile } from './elf.ts';
import { hasBytes } from './sections.ts';
import { isInside } from './source.ts';

export interface Note {
  readonly owner: string;
  readonly type: number;
  readonly description: Uint8Array;
}

const MAX_NOTES_SIZE = 1 << 20;
/** ld writes 20 bytes (SHA-1); 8, 16 and 32 occur. */
const MAX_BUILD_ID = 64;

/** Elf64_Nhdr entries: namesz, descsz, type, then name and description, each padded to 4 bytes. Stops at damage. */
export function parseNotes(bytes: Uint8Array): readonly Note[] {
  const notes: Note[] = [];
  const reader = new Reader(bytes);
  while (reader.remaining >= 12) {
    const nameSize = reader.u32('n_namesz');
    const descriptionSize = reader.u32('n_descsz');
    const type = reader.u32('n_type');
    if (padded(nameSize) + descriptionSize > reader.remaining) break;
    const owner = Buffer.from(reader.take(padded(nameSize), 'note name').subarray(0, nameSize)).toString(
      'latin1',
    );
    notes.push({ owner: owner.replace(/\0+$/, ''), type, description: reader.take(descriptionSize, 'note') });
    reader.skip(Math.min(padded(descriptionSize) - descriptionSize, reader.remaining), 'note padding');
  }
  return notes;
}

function padded(size: number): number {
  return Math.ceil(size / 4) * 4;
}

/** Lower-case hex of NT_GNU_BUILD_ID. Sections first: a separate debug file keeps them but not its segments. */
export function buildId(elf: ElfFile): string | undefined {
  for (const { offset, size } of noteRanges(elf)) {
    const bytes = elf.source.read(offset, Math.min(size, MAX_NOTES_SIZE), 'notes');
    const note = parseNotes(bytes).find((entry) => entry.owner === 'GNU' && entry.type === NT_GNU_BUILD_ID);
    const length = note?.description.length ?? 0;
    if (note && length > 0 && length <= MAX_BUILD_ID) return Buffer.from(note.description).toString('hex');
  }
  return undefined;
}

function noteRanges(elf: ElfFile): readonly { readonly offset: number; readonly size: number }[] {
  const sections = elf.sections
    .filter((section) => section.type === SHT_NOTE && hasBytes(section, elf.source.size))
    .sort((a, b) => Number(b.name === '.note.gnu.build-id') - Number(a.name === '.note.gnu.build-id'));
  const segments = elf.segments
    .filter(
      (segment) =>
        segment.type === PT_NOTE && isInside(segment.fileOffset, segment.fileSize, elf.source.size),
    )
    .map((segment) => ({ offset: segment.fileOffset, size: segment.fileSize }));
  return [...sections, ...segments].slice(0, 64);
}
