import type { DataImage } from '../elf/data-image.ts';
import { readU64 } from '../elf/data-image.ts';
import { type SourceFile, sourceFile } from './source-path.ts';

/** A `core::panic::Location` in a program's data. */
export interface PanicLocation {
  readonly svma: number;
  readonly path: string;
  /** Undefined for files of the program itself. */
  readonly source: SourceFile | undefined;
  readonly line: number;
  readonly column: number;
}

/** `{ file: &str, line: u32, column: u32 }`, in this order in every compiler measured. */
const LOCATION_SIZE = 24;
const MAX_PATH = 1024;
const MIN_PATH = 4;
const MAX_LINE = 1_000_000;
const MAX_COLUMN = 10_000;
/** A program of a hundred megabytes has fifty thousand. */
const MAX_LOCATIONS = 1 << 19;

/** All structs in the data that look like one: a pointer to text that ends in `.rs`, its length, a line and a column. */
export function panicLocations(image: DataImage): readonly PanicLocation[] {
  const found: PanicLocation[] = [];
  const paths = new Map<string, { path: string; source: SourceFile | undefined } | undefined>();
  for (const { svma, view } of image.ranges) {
    const first = (8 - (svma % 8)) % 8;
    for (let at = first; at + LOCATION_SIZE <= view.byteLength; at += 8) {
      const [line, column] = [view.getUint32(at + 16, true), view.getUint32(at + 20, true)];
      if (line === 0 || line > MAX_LINE || column === 0 || column > MAX_COLUMN) continue;
      const length = view.getUint32(at + 8, true);
      if (length < MIN_PATH || length > MAX_PATH || view.getUint32(at + 12, true) !== 0) continue;
      const path = pathAt(image, readU64(view, at), length, paths);
      if (path) found.push({ svma: svma + at, ...path, line, column });
      if (found.length >= MAX_LOCATIONS) return found;
    }
  }
  return found;
}

function pathAt(
  image: DataImage,
  address: number,
  length: number,
  known: Map<string, { path: string; source: SourceFile | undefined } | undefined>,
): { readonly path: string; readonly source: SourceFile | undefined } | undefined {
  const key = `${address} ${length}`;
  if (known.has(key)) return known.get(key);
  const path = image.bytes(address, length)?.toString('latin1');
  const usable = path !== undefined && /^[\x20-\x7e\x80-\xff]+\.rs$/.test(path);
  const answer = usable ? { path, source: sourceFile(path) } : undefined;
  known.set(key, answer);
  return answer;
}
