import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { trimAllocator } from '../kernel/libc.ts';

/**
 * Gives back what start-up has used and nothing needs any more: tables of binaries, BTF, verifier logs. V8
 * does so only when the heap grows again, which an idle agent's does not.
 */
export function collectStartUpGarbage(): void {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect();
  trimAllocator();
}
