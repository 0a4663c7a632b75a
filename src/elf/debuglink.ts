import { messageOf } from '../base/errors.ts';
import { Reader } from '../base/reader.ts';
import { type ElfFile, findSection, sectionBytes } from './elf.ts';

/** `.gnu_debuglink`: the file name of a separate debug file and the CRC-32 of its contents. */
export interface DebugLink {
  readonly fileName: string;
  readonly crc32: number;
}

const MAX_SIZE = 4096;

/** Undefined when the section is absent; a reason when it cannot be used. */
export function readDebugLink(elf: ElfFile): DebugLink | { readonly reason: string } | undefined {
  const section = findSection(elf, '.gnu_debuglink');
  if (section === undefined) return undefined;
  if (section.size > MAX_SIZE)
    return { reason: `.gnu_debuglink has ${section.size} bytes, at most ${MAX_SIZE} are read` };
  try {
    return parseDebugLink(sectionBytes(elf, section));
  } catch (error) {
    return { reason: messageOf(error) };
  }
}

/** NUL-terminated name, padding to 4 bytes, then the CRC. A name with a slash would leave the searched folders. */
export function parseDebugLink(bytes: Uint8Array): DebugLink {
  const reader = new Reader(bytes);
  const fileName = reader.cstring('.gnu_debuglink name');
  if (fileName === '' || fileName.includes('/') || fileName === '.' || fileName === '..') {
    throw new Error(`Cannot use .gnu_debuglink: '${fileName}' is not a plain file name`);
  }
  reader.seek(Math.ceil(reader.position / 4) * 4, '.gnu_debuglink CRC');
  return { fileName, crc32: reader.u32('.gnu_debuglink CRC') };
}
