/** A source file of a crate, as compilers write it into panic locations. */
export interface SourceFile {
  readonly crate: string;
  readonly version: string | undefined;
  /** Below the crate: `src/proto/h1/role.rs`. */
  readonly file: string;
}

const NAME = '[A-Za-z_][A-Za-z0-9_-]{0,63}';
const SUFFIX = '[0-9A-Za-z.-]{1,40}';
const SEMVER = String.raw`\d{1,9}\.\d{1,9}\.\d{1,9}(?:-${SUFFIX})?(?:\+${SUFFIX})?`;
/** `hyper-1.12.0/src/…`, wherever cargo, a vendor folder, Bazel or a remapped prefix puts it. */
const VERSIONED = new RegExp(`(?:^|[/_])(?<crate>${NAME})-(?<version>${SEMVER})/(?<file>src/.+\\.rs)$`);
const VENDORED = new RegExp(`/(?:vendor|third_party/rust)/(?<crate>${NAME})/(?<file>src/.+\\.rs)$`);
const CHECKOUT = new RegExp(
  String.raw`/git/checkouts/[\w.-]{1,80}-[0-9a-f]{16}/[0-9a-f]{7,40}/(?:[\w.-]+/)*?(?<crate>${NAME})/(?<file>src/.+\.rs)$`,
);
/** `/rustc/<commit>/library/core/src/…`, and the same below a toolchain's `lib/rustlib/src/rust`. */
const STD = /(?:^|\/)library\/(?<crate>core|alloc|std|panic_unwind|panic_abort)\/(?<file>src\/.+\.rs)$/;

/** The crate and file that a path names; undefined for the program's own files. */
export function sourceFile(path: string): SourceFile | undefined {
  const groups = [VERSIONED, VENDORED, CHECKOUT, STD].map((form) => form.exec(path)?.groups).find(Boolean);
  if (groups?.crate === undefined || groups.file === undefined) return undefined;
  return { crate: groups.crate, version: groups.version, file: groups.file };
}
