import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { ElfFile } from '../elf/elf.ts';
import { buildId } from '../elf/notes.ts';
import type { BinaryFacts } from './facts.ts';
import type { FileIdentity } from './file-source.ts';

/** What is kept of one analysis. */
export interface CachedFacts {
  readonly facts: BinaryFacts;
  readonly problems: readonly string[];
}

/** Raised whenever the same bytes may give other facts. */
const FORMAT = 8;
const MAX_ENTRY = 1 << 26;

/** `$XDG_CACHE_HOME/otel-rust-agent`, else `/var/cache/otel-rust-agent`. */
export function defaultCacheDirectory(env: Readonly<Record<string, string | undefined>>): string {
  return join(env.XDG_CACHE_HOME || '/var/cache', 'otel-rust-agent');
}

/**
 * What stands for the contents of a file. Without a build id it is the file itself: device, inode and the time of
 * its last change.
 */
function contentId(buildId: string | undefined, identity: FileIdentity): string {
  const { device, inode, size, modifiedNs, changedNs } = identity;
  return buildId === undefined
    ? `file ${device} ${inode} ${size} ${modifiedNs} ${changedNs}`
    : `build ${buildId} ${size} ${modifiedNs}`;
}

/**
 * A file changed less than two seconds ago may change again without a new time stamp (they are as coarse as the
 * file system's clock), so its facts are not kept.
 */
function isSettled(identity: FileIdentity, nowMs: number): boolean {
  const changedMs = Number(identity.changedNs / 1_000_000n);
  return nowMs - changedMs > 2000;
}

/** What an entry depends on: the file, its debug file candidates, and what was asked of them. */
export interface CacheSubject {
  readonly elf: ElfFile;
  readonly identity: FileIdentity;
  readonly debugPaths: readonly string[];
  /** JSON tells one question from another. */
  readonly asked: unknown;
}

/** undefined while the file may still change without showing it. */
export function cacheKey({ elf, identity, debugPaths, asked }: CacheSubject): string | undefined {
  if (!isSettled(identity, Date.now())) return undefined;
  const parts = [FORMAT, contentId(buildId(elf), identity), debugPaths.map(stamp), asked];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

function stamp(path: string): readonly (string | number)[] {
  const stats = statSync(path, { throwIfNoEntry: false });
  return [path, stats?.size ?? -1, stats?.mtimeMs ?? -1];
}

export function readCache(directory: string, key: string): CachedFacts | undefined {
  const entry = readEntry<CachedFacts>(directory, key);
  return entry && withUndefined(entry);
}

/**
 * The entry, or undefined when there is none, it is damaged, or anyone but root and this user could have written it.
 * JSON has no `undefined`: members of that value are absent.
 */
export function readEntry<T>(directory: string, key: string): T | undefined {
  try {
    if (!isTrusted(statSync(directory))) return undefined; // its owner could put another file under a name
    const fd = openSync(join(directory, `${key}.json`), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const stats = fstatSync(fd);
      if (stats.size > MAX_ENTRY || !isTrusted(stats)) return undefined;
      return decode<T>(readFileSync(fd, 'utf8'), key);
    } finally {
      closeSync(fd);
    }
  } catch {
    return undefined;
  }
}

function isTrusted({ uid, mode }: Stats): boolean {
  return (mode & 0o022) === 0 && (uid === 0 || uid === process.getuid?.());
}

/** Writes to a temporary name, then renames, so that a reader sees a whole entry or none. Failure to write is no error. */
export function writeEntry(directory: string, key: string, value: object): void {
  const temporary = join(directory, `.${key}.${process.pid}`);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    writeFileSync(temporary, encode(value, key), { mode: 0o644, flag: 'wx' });
    renameSync(temporary, join(directory, `${key}.json`));
  } catch {
    rmSync(temporary, { force: true });
  }
}

/** One line with key and checksum, then the value. */
function encode(value: object, key: string): string {
  const body = JSON.stringify(value);
  return `${key} ${checksum(body)}\n${body}`;
}

function decode<T>(text: string, key: string): T | undefined {
  const newline = text.indexOf('\n');
  const body = text.slice(newline + 1);
  if (text.slice(0, newline) !== `${key} ${checksum(body)}`) return undefined;
  return JSON.parse(body) as T;
}

function checksum(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}

/** JSON drops members that are undefined; facts have all of them. */
function withUndefined({ facts, problems }: CachedFacts): CachedFacts {
  const { rustc } = facts;
  return {
    problems,
    facts: {
      ...facts,
      buildId: facts.buildId,
      interpreter: facts.interpreter,
      tls: facts.tls,
      symbols: { ...facts.symbols, debugFilePath: facts.symbols.debugFilePath },
      rustc: rustc && { version: rustc.version, commit: rustc.commit, evidence: rustc.evidence },
      crates: facts.crates.map(({ name, version, evidence }) => ({ name, version, evidence })),
      recovered: { ...facts.recovered, problem: facts.recovered.problem },
    },
  };
}
