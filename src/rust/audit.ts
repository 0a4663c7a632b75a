import { inflateSync } from 'node:zlib';
import { messageOf } from '../base/errors.ts';
import type { FoundCrate } from './crates.ts';

const MAX_JSON = 1 << 24;

export interface Audit {
  readonly crates: readonly FoundCrate[];
  /** Of the package that the program was built from. */
  readonly packageVersion: string | undefined;
}

/**
 * The crates in `.dep-v0`, the section that cargo-auditable adds: zlib-compressed JSON
 * `{"packages": [{"name", "version", "kind"?: "build", "root"?: true}]}`. Build-time crates are not in the program.
 * Format: https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md
 */
export function parseAudit(section: Uint8Array): Audit {
  const { packages } = readJson(section);
  if (!Array.isArray(packages)) throw new Error('Cannot read .dep-v0: it has no list of packages');
  const ofProgram = packages.filter(isRuntimePackage);
  return {
    crates: ofProgram.map(({ name, version }) => ({
      name,
      version,
      evidence: `.dep-v0: ${name} ${version}`,
    })),
    packageVersion: ofProgram.find(({ root }) => root === true)?.version,
  };
}

function readJson(section: Uint8Array): { readonly packages?: unknown } {
  try {
    const value: unknown = JSON.parse(inflateSync(section, { maxOutputLength: MAX_JSON }).toString('utf8'));
    return typeof value === 'object' && value !== null ? value : {};
  } catch (error) {
    throw new Error(`Cannot read .dep-v0: ${messageOf(error).replace(/\s+/g, ' ').slice(0, 100)}`);
  }
}

interface Package {
  readonly name: string;
  readonly version: string;
  readonly root?: unknown;
}

function isRuntimePackage(entry: unknown): entry is Package {
  if (typeof entry !== 'object' || entry === null) return false;
  const { name, version, kind } = entry as Record<string, unknown>;
  return kind !== 'build' && isShortText(name) && isShortText(version);
}

function isShortText(value: unknown): boolean {
  return typeof value === 'string' && /^[\w.+-]{1,100}$/.test(value);
}
