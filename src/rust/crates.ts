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
 *   …/registry/src/<index>/<crate>-<version> NUL      a folder in a DWARF line table
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
  /** `at` is the needle's place in `text`. */
  readonly read: (text: string, at: number) => FoundCrate | undefined;
}

const BEFORE = 200;
const AFTER = 300;
/** Windows given to `scanCratePaths` must overlap by this many bytes. */
export const PATH_OVERLAP = BEFORE + AFTER;
/** Places looked at in one file: a large program has a few thousand, a hostile one millions. */
const MAX_PLACES = 50_000;

/** The registry's limit for names is 64 characters. A name has no dot, so `sha-1-0.10.0` is sha-1 0.10.0. */
const NAME = '[A-Za-z_][A-Za-z0-9_-]{0,63}';
const SUFFIX = '[0-9A-Za-z.-]{1,40}';
const SEMVER = String.raw`\d{1,9}\.\d{1,9}\.\d{1,9}(?:-${SUFFIX})?(?:\+${SUFFIX})?`;
const VERSIONED = `(?<name>${NAME})-(?<version>${SEMVER})`;
const SOURCE_FILE = String.raw`[\w./+@=-]*?\.rs`;
const CHECKOUT = String.raw`/git/checkouts/(?<name>[\w.-]{1,80}?)-[0-9a-f]{16}/[0-9a-f]{7,40}`;

const REGISTRY = new RegExp(
  String.raw`registry[/\\]src[/\\][\w.-]{1,80}[/\\]${VERSIONED}(?:[/\\](?:${SOURCE_FILE})?|(?=\0))`,
  'y',
);
const REGISTRY_FLAT = new RegExp(`registry/${VERSIONED}/${SOURCE_FILE}`, 'y');
const GIT = new RegExp(String.raw`${CHECKOUT}/(?:[\w.-]+/)*?(?:(?<crate>[\w-]+)/)?src/${SOURCE_FILE}`, 'y');
const SEGMENT = new RegExp(`^${VERSIONED}$`);
const VENDORED = new RegExp(`/(?:vendor|third_party/rust)/(?<name>${NAME})$`);
const AFTER_SRC = new RegExp(`/src/${SOURCE_FILE}`, 'y');

const FORMS: readonly PathForm[] = [
  {
    needle: Buffer.from('registry'),
    read: (text, at) => matchAt(REGISTRY, text, at) ?? matchAt(REGISTRY_FLAT, text, at),
  },
  { needle: Buffer.from('/git/checkouts/'), read: (text, at) => matchAt(GIT, text, at) },
  { needle: Buffer.from('/src/'), read: beforeSrc },
];

/** The crates of one file, gathered window by window. */
export interface CrateScan {
  /** Keyed by name and version; the first evidence stays. */
  readonly found: Map<string, FoundCrate>;
  /** Places that may still be looked at; 0 means that the rest of the file was skipped. */
  placesLeft: number;
}

export function startCrateScan(): CrateScan {
  return { found: new Map(), placesLeft: MAX_PLACES };
}

/** Adds the crates whose paths lie in `bytes`. */
export function scanCratePaths(bytes: Buffer, scan: CrateScan): void {
  for (const { needle, read } of FORMS) {
    for (let at = bytes.indexOf(needle); at >= 0; at = bytes.indexOf(needle, at + needle.length)) {
      if (scan.placesLeft === 0) return;
      scan.placesLeft -= 1;
      const start = Math.max(0, at - BEFORE);
      const crate = read(bytes.toString('latin1', start, at + AFTER), at - start);
      if (crate !== undefined) add(scan.found, crate);
    }
  }
}

function add(found: Map<string, FoundCrate>, crate: FoundCrate): void {
  const key = `${crate.name}@${crate.version ?? ''}`;
  if (!found.has(key)) found.set(key, crate);
}

function matchAt(pattern: RegExp, text: string, at: number): FoundCrate | undefined {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  const name = match?.groups?.crate ?? match?.groups?.name;
  if (match === null || name === undefined) return undefined;
  return { name, version: match.groups?.version, evidence: match[0] };
}

/** Reads the folder in front of `/src/` at `at`. It must follow a slash: else its first letters may be other text. */
function beforeSrc(text: string, at: number): FoundCrate | undefined {
  AFTER_SRC.lastIndex = at;
  const rest = AFTER_SRC.exec(text)?.[0];
  const slash = text.lastIndexOf('/', at - 1);
  if (rest === undefined || slash < 0 || at === 0) return undefined;
  const folder = text.slice(slash + 1, at);
  const versioned = SEGMENT.exec(withoutBazelPrefix(text, slash, folder))?.groups;
  if (versioned?.name)
    return {
      name: versioned.name,
      version: versioned.version,
      evidence: `${parents(text, slash)}/${folder}${rest}`,
    };
  const vendored = VENDORED.exec(text.slice(0, at));
  const name = vendored?.groups?.name;
  return vendored && name ? { name, version: undefined, evidence: `${vendored[0]}${rest}` } : undefined;
}

/** Up to two folders before `slash`: `/rust/deps` are the standard library's own crates. */
function parents(text: string, slash: number): string {
  return /(?:\/[\w.@+-]{1,60}){0,2}$/.exec(text.slice(0, slash))?.[0] ?? '';
}

/** Bazel's rules_rust names the folder `external/<repository>__<crate>-<version>`. */
function withoutBazelPrefix(text: string, slash: number, folder: string): string {
  if (!text.slice(0, slash).endsWith('external')) return folder;
  const separator = folder.lastIndexOf('__');
  return separator < 0 ? folder : folder.slice(separator + 2);
}

/**
 * One entry a name and version, sorted; of several the first stays. A crate known with a version loses its entries
 * without one: the same files seen through another form.
 */
export function sortCrates(found: Iterable<FoundCrate>): readonly FoundCrate[] {
  const unique = new Map<string, FoundCrate>();
  for (const crate of found) add(unique, crate);
  const crates = [...unique.values()];
  const versioned = new Set(crates.filter((crate) => crate.version).map((crate) => crate.name));
  return crates
    .filter((crate) => crate.version !== undefined || !versioned.has(crate.name))
    .sort((a, b) => compare(a.name, b.name) || compare(a.version ?? '', b.version ?? ''));
}

/** By code unit, so that the order is the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
