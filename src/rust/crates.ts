export interface FoundCrate {
  readonly name: string;
  readonly version: string | undefined;
  readonly evidence: string;
}

/**
 * Panic locations and `file!()` leave source paths in read-only data, one after the other without a terminator,
 * so the start of a path is not known: everything below reads outwards from a fixed part. Forms:
 *
 *   …/registry/src/<index>/<crate>-<version>/…          cargo, also behind --remap-path-prefix
 *   …/registry/<crate>-<version>/….rs                   distributions' cargo folders
 *   …/<anything>/<crate>-<version>/src/….rs             versioned vendor folders, Nix, Bazel, remapped registries
 *   …/vendor/<crate>/src/….rs                           cargo vendor: no version
 *   …/git/checkouts/<repository>-<hash>/<rev>/[<crate>/]src/….rs   git dependency: no version
 *
 * Not found: crates that never panic and take no location, and paths remapped to a relative
 * `<crate>-<version>/…`, whose first letters can't be told from the end of the text before them.
 */
interface PathForm {
  readonly needle: Buffer;
  /** Sticky; applied `before` bytes ahead of the needle's start. */
  readonly read: (text: string, at: number) => FoundCrate | undefined;
}

const BEFORE = 200;
const AFTER = 300;
/** Windows given to `scanCratePaths` must overlap by this many bytes. */
export const PATH_OVERLAP = BEFORE + AFTER;

const SEMVER = String.raw`\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?`;
/** A crate's name has no dot, so the first `-<number>.` ends it: `sha-1-0.10.0` is sha-1 0.10.0. */
const VERSIONED = `(?<name>[A-Za-z_][A-Za-z0-9_-]*)-(?<version>${SEMVER})`;
const REST_OF_SOURCE = String.raw`[\w./+@=-]*?\.rs`;

const REGISTRY = new RegExp(
  String.raw`registry[/\\](?:src[/\\][\w.-]+[/\\]${VERSIONED}[/\\](?:${REST_OF_SOURCE})?)`,
  'y',
);
const REGISTRY_FLAT = new RegExp(`registry/${VERSIONED}/${REST_OF_SOURCE}`, 'y');
const GIT = new RegExp(
  String.raw`/git/checkouts/(?<name>[\w.-]+?)-[0-9a-f]{16}/[0-9a-f]{7,40}/(?:[\w.-]+/)*?(?:(?<crate>[\w-]+)/)?src/${REST_OF_SOURCE}`,
  'y',
);
const SEGMENT_BEFORE_SRC = new RegExp(`^(?:.*__)?${VERSIONED}$`);
const VENDORED = /\/(?:vendor|third_party\/rust)\/([A-Za-z_][A-Za-z0-9_-]*)$/;
const SRC_REST = new RegExp(`/src/${REST_OF_SOURCE}`, 'y');

const FORMS: readonly PathForm[] = [
  {
    needle: Buffer.from('registry'),
    read: (text, at) => matchAt(REGISTRY, text, at) ?? matchAt(REGISTRY_FLAT, text, at),
  },
  { needle: Buffer.from('/git/checkouts/'), read: (text, at) => matchAt(GIT, text, at) },
  { needle: Buffer.from('/src/'), read: beforeSrc },
];

/** Adds the crates whose paths lie in `bytes` to `found`, keyed by name and version; the first evidence stays. */
export function scanCratePaths(bytes: Buffer, found: Map<string, FoundCrate>): void {
  for (const { needle, read } of FORMS) {
    for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + needle.length)) {
      const start = Math.max(0, at - BEFORE);
      const crate = read(bytes.toString('latin1', start, at + AFTER), at - start);
      if (crate === undefined) continue;
      const key = `${crate.name}@${crate.version ?? ''}`;
      if (!found.has(key)) found.set(key, crate);
    }
  }
}

function matchAt(pattern: RegExp, text: string, at: number): FoundCrate | undefined {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  const name = match?.groups?.crate ?? match?.groups?.name;
  if (match === null || name === undefined) return undefined;
  return { name, version: match.groups?.version, evidence: match[0] };
}

function beforeSrc(text: string, at: number): FoundCrate | undefined {
  SRC_REST.lastIndex = at;
  const rest = SRC_REST.exec(text)?.[0];
  const slash = text.lastIndexOf('/', at - 1);
  if (rest === undefined || slash < 0) return undefined;
  const segment = text.slice(slash + 1, at);
  const versioned = SEGMENT_BEFORE_SRC.exec(segment)?.groups;
  if (versioned?.name) {
    return { name: versioned.name, version: versioned.version, evidence: `/${segment}${rest}` };
  }
  const vendored = VENDORED.exec(text.slice(0, at));
  return vendored?.[1]
    ? { name: vendored[1], version: undefined, evidence: `${vendored[0]}${rest}` }
    : undefined;
}

/**
 * Sorted by name, then version. A crate known with a version loses its entries without one: the same files seen
 * through another form.
 */
export function sortCrates(found: ReadonlyMap<string, FoundCrate>): readonly FoundCrate[] {
  const versioned = new Set([...found.values()].filter((crate) => crate.version).map((crate) => crate.name));
  return [...found.values()]
    .filter((crate) => crate.version !== undefined || !versioned.has(crate.name))
    .sort((a, b) => compare(a.name, b.name) || compare(a.version ?? '', b.version ?? ''));
}

/** By code unit, so that the order is the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
