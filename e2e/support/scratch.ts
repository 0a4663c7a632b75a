import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of one test; removed with it unless OTEL_RUST_KEEP is set. */
export class Scratch implements Disposable {
  readonly path: string;

  constructor() {
    const base = process.env.OTEL_RUST_SCRATCH ?? tmpdir();
    mkdirSync(base, { recursive: true });
    this.path = mkdtempSync(join(base, 'otel-rust-e2e-'));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    if (!process.env.OTEL_RUST_KEEP) rmSync(this.path, { recursive: true, force: true });
  }
}

let kept: Scratch | undefined;

/** A folder for all tests of this file, removed with its process. */
export function sharedScratch(): Scratch {
  if (kept) return kept;
  const scratch = new Scratch();
  process.once('exit', () => scratch[Symbol.dispose]());
  kept = scratch;
  return scratch;
}
