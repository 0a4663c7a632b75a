import { svma } from '../base/address.ts';
import { UserError } from '../base/errors.ts';
import { toFileOffset } from '../elf/segments.ts';
import type { CodeReader, LoadSegment } from './facts.ts';
import { type FileIdentity, FileSource, sameFile } from './file-source.ts';

/** Far above any function; a larger request is a damaged symbol size. */
const MAX_CODE = 1 << 24;

/**
 * Opens the file for each read and checks that it is still the one the facts were taken from. A range that runs
 * past its segment is cut there.
 */
export function createCodeReader(
  path: string,
  identity: FileIdentity,
  segments: readonly LoadSegment[],
): CodeReader {
  const executable = segments.filter((segment) => segment.executable);
  return (start, size) => {
    const offset = toFileOffset(executable, start);
    const segment = executable.find((range) => start >= range.svma && start - range.svma < range.fileSize);
    if (offset === undefined || segment === undefined) return undefined;
    const available = segment.svma + segment.fileSize - start;
    const bytes = readCode(path, identity, offset, Math.min(size, available, MAX_CODE));
    return { svma: svma(start), fileOffset: offset, bytes };
  };
}

function readCode(path: string, identity: FileIdentity, offset: number, size: number): Uint8Array {
  using source = new FileSource(path);
  if (!sameFile(source.identity, identity))
    throw new UserError(`${path} was replaced while it was being analysed`);
  return source.read(offset, size, 'code');
}
