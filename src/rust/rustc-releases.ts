/**
 * Commit of rust-lang/rust → version, for binaries whose `.comment` is gone. A commit that is not here is
 * reported without a version.
 */
export const RUSTC_RELEASES: Readonly<Record<string, string>> = {
  '59807616e1fa2540724bfbac14d7976d7e4a3860': '1.95.0',
};
