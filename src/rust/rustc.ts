import { RUSTC_RELEASES } from './rustc-releases.ts';

export interface FoundRustc {
  readonly version: string | undefined;
  readonly commit: string | undefined;
  readonly evidence: string;
}

/** How often each rustc is named by the standard library's source paths. */
export interface RustcPaths {
  readonly commits: Map<string, number>;
  readonly versions: Map<string, number>;
}

/** `rustc version 1.95.0 (59807616e 2026-04-14)`, one for each compiler that contributed an object. */
const COMMENT = /rustc version (\d+\.\d+\.\d+[\w.+-]*)(?: \(([0-9a-f]{7,40}) [0-9-]+\))?/g;

const COMMIT_NEEDLE = Buffer.from('/rustc/');
const COMMIT_PATH = /\/rustc\/([0-9a-f]{40})\//y;
/** Distributions build the standard library from a source folder of that name. */
const VERSION_NEEDLE = Buffer.from('/rustc-');
const VERSION_PATH = /\/rustc-(\d+\.\d+\.\d+[\w.+-]*?)(?:-src)?\/library\//y;
const LONGEST = 64;
/** Different compilers counted in one file: one or two in a real one. */
const MAX_NAMED = 100;

export function emptyRustcPaths(): RustcPaths {
  return { commits: new Map(), versions: new Map() };
}

/** Counts `/rustc/<commit>/` and `/rustc-<version>/library/` in `bytes`. */
export function scanRustcPaths(bytes: Buffer, paths: RustcPaths): void {
  count(bytes, COMMIT_NEEDLE, COMMIT_PATH, paths.commits);
  count(bytes, VERSION_NEEDLE, VERSION_PATH, paths.versions);
}

function count(bytes: Buffer, needle: Buffer, pattern: RegExp, into: Map<string, number>): void {
  for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + needle.length)) {
    pattern.lastIndex = 0;
    const value = pattern.exec(bytes.toString('latin1', at, at + LONGEST))?.[1];
    if (value !== undefined && into.size < MAX_NAMED) into.set(value, (into.get(value) ?? 0) + 1);
  }
}

/**
 * The compiler of this file. `.comment` names every compiler that contributed, also that of a prebuilt Rust
 * library linked in; the one whose standard library is inside is taken.
 */
export function identifyRustc(comment: string, paths: RustcPaths): FoundRustc | undefined {
  const commit = mostFrequent(paths.commits);
  const compilers = [...comment.matchAll(COMMENT)];
  const compiler = compilers.find((match) => match[2] && commit?.startsWith(match[2])) ?? compilers[0];
  if (compiler !== undefined) {
    const same = commit !== undefined && (compiler[2] === undefined || commit.startsWith(compiler[2]));
    return { version: compiler[1], commit: same ? commit : undefined, evidence: `.comment: ${compiler[0]}` };
  }
  if (commit !== undefined) return { version: RUSTC_RELEASES[commit], commit, evidence: `/rustc/${commit}/` };
  const version = mostFrequent(paths.versions);
  return version === undefined
    ? undefined
    : { version, commit: undefined, evidence: `/rustc-${version}/library/` };
}

function mostFrequent(counts: ReadonlyMap<string, number>): string | undefined {
  const ordered = [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  return ordered[0]?.[0];
}
