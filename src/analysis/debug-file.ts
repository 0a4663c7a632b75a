import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { crc32 } from 'node:zlib';
import { messageOf } from '../base/errors.ts';
import { readDebugLink } from '../elf/debuglink.ts';
import { type ElfFile, parseElf } from '../elf/elf.ts';
import { buildId } from '../elf/notes.ts';
import { FileSource } from './file-source.ts';

/** The file that a distribution or `objcopy --only-keep-debug` split off. */
export interface DebugFile extends Disposable {
  readonly path: string;
  readonly elf: ElfFile;
}

/** A place to look at, and what the file there must have to belong to the program. */
export interface DebugCandidate {
  readonly path: string;
  readonly proof: { readonly buildId: string } | { readonly crc32: number };
}

const DEBUG_ROOT = '/usr/lib/debug';
const CRC_CHUNK = 1 << 20;
/** A sparse file can claim any size; reading it for its checksum would never end. */
const MAX_CHECKED = 2 ** 32;

/** Existing files at the places GDB looks at, by build id first, then by debug link. */
export function debugCandidates(
  elf: ElfFile,
  ownBuildId: string | undefined,
  problems: string[],
  root = DEBUG_ROOT,
): readonly DebugCandidate[] {
  const candidates: DebugCandidate[] = [];
  if (ownBuildId !== undefined && ownBuildId.length > 2) {
    const path = join(root, '.build-id', ownBuildId.slice(0, 2), `${ownBuildId.slice(2)}.debug`);
    candidates.push({ path, proof: { buildId: ownBuildId } });
  }
  const link = readDebugLink(elf);
  if (link !== undefined && 'reason' in link) problems.push(link.reason);
  else if (link !== undefined) {
    const folder = dirname(resolve(elf.name));
    const folders = [folder, join(folder, '.debug'), join(root, folder)];
    const paths = folders
      .map((place) => join(place, link.fileName))
      .filter((path) => path !== resolve(elf.name));
    candidates.push(...paths.map((path) => ({ path, proof: { crc32: link.crc32 } })));
  }
  return candidates.filter(({ path }) => existsSync(path));
}

/** The first candidate that proves to belong to `elf`; the others are reported in `problems`. */
export async function openDebugFile(
  elf: ElfFile,
  candidates: readonly DebugCandidate[],
  problems: string[],
  pause: () => Promise<void>,
): Promise<DebugFile | undefined> {
  for (const candidate of candidates) {
    try {
      return await openCandidate(candidate, pause);
    } catch (error) {
      problems.push(`Debug file of ${basename(elf.name)} not used. ${messageOf(error)}`);
    }
  }
  return undefined;
}

async function openCandidate(
  { path, proof }: DebugCandidate,
  pause: () => Promise<void>,
): Promise<DebugFile> {
  const source = new FileSource(path);
  try {
    const elf = parseElf(source, path);
    if ('buildId' in proof) checkBuildId(elf, proof.buildId);
    else await checkCrc(source, proof.crc32, pause);
    return { path, elf, [Symbol.dispose]: () => source[Symbol.dispose]() };
  } catch (error) {
    source[Symbol.dispose]();
    throw error;
  }
}

function checkBuildId(elf: ElfFile, wanted: string): void {
  const found = buildId(elf);
  if (found !== wanted) throw new Error(`${elf.name} has build id ${found ?? 'none'}, the program ${wanted}`);
}

async function checkCrc(source: FileSource, wanted: number, pause: () => Promise<void>): Promise<void> {
  if (source.size > MAX_CHECKED)
    throw new Error(`${source.path} has ${source.size} bytes, limit ${MAX_CHECKED}`);
  let crc = 0;
  for (let at = 0; at < source.size; at += CRC_CHUNK) {
    crc = crc32(source.read(at, Math.min(CRC_CHUNK, source.size - at), 'debug file'), crc);
    await pause();
  }
  if (crc !== wanted) {
    throw new Error(
      `${source.path} has CRC ${crc.toString(16)}, .gnu_debuglink wants ${wanted.toString(16)}`,
    );
  }
}
