import type { ElfFile } from './elf.ts';
import type { Section } from './sections.ts';

/** Part of a string table that begins at a string's first byte and ends behind a NUL. */
export interface StringWindow {
  /** Offset of `bytes[0]` in the table. */
  readonly start: number;
  readonly bytes: Buffer;
}

const WINDOW_SIZE = 1 << 20;

/** The NUL-terminated string at `offset` of a table, one character a byte; undefined when it runs off the end. */
export function stringAt(table: Uint8Array, offset: number): string | undefined {
  if (offset >= table.length) return undefined;
  const end = table.indexOf(0, offset);
  if (end < 0) return undefined;
  return Buffer.from(table.buffer, table.byteOffset + offset, end - offset).toString('latin1');
}

/**
 * A string table in pieces of a few megabytes, so that the memory needed does not grow with the file. A string
 * longer than a window is cut: no symbol name is.
 */
export function* stringWindows(elf: ElfFile, section: Section): Generator<StringWindow> {
  for (let start = 0; start < section.size; ) {
    const size = Math.min(WINDOW_SIZE, section.size - start);
    const bytes = elf.source.read(section.offset + start, size, section.name);
    const end = bytes.lastIndexOf(0) + 1;
    const used = end === 0 ? size : end;
    yield { start, bytes: bytes.subarray(0, used) };
    start += used;
  }
}

/**
 * Calls `found(start, end)` for each string of the window that contains every needle. Linear in the window:
 * the longest needle leads from string to string, the others are looked up inside.
 */
export function findStrings(
  bytes: Buffer,
  needles: readonly Buffer[],
  found: (start: number, end: number) => void,
): void {
  const [lead = Buffer.alloc(0), ...others] = [...needles].sort((a, b) => b.length - a.length);
  for (let at = bytes.indexOf(lead); at >= 0 && at < bytes.length; ) {
    const start = at === 0 ? 0 : bytes.lastIndexOf(0, at - 1) + 1;
    const nul = bytes.indexOf(0, at);
    const end = nul < 0 ? bytes.length : nul;
    const name = bytes.subarray(start, end);
    if (name.length > 0 && others.every((needle) => name.includes(needle))) found(start, end);
    at = bytes.indexOf(lead, end + 1);
    if (lead.length === 0) at = end + 1;
  }
}
