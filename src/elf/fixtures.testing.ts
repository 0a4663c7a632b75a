import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const FOLDER = new URL('../../../fixtures/binaries/', import.meta.url);

/** A file of fixtures/binaries, unpacked. For tests. */
export function fixture(name: string): Buffer {
  return gunzipSync(readFileSync(new URL(`${name}.gz`, FOLDER)));
}
