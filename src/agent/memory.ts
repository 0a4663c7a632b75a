import { setImmediate } from 'node:timers/promises';
import { trimAllocator } from '../kernel/libc.ts';

/**
 * Gives back what start-up has used and nothing needs any more: BTF, verifier logs, code that ran once. V8 does so
 * only after some quiet time, and keeps the room for young objects as large as start-up made it; what `--expose-gc`
 * offers doesn't shrink that either. The inspector's collection is V8's for low memory, which does. It takes 40 ms.
 */
export async function collectStartUpGarbage(): Promise<void> {
  try {
    await collectAsForLowMemory();
  } finally {
    trimAllocator();
  }
}

async function collectAsForLowMemory(): Promise<void> {
  const inspector = await import('node:inspector/promises').catch(() => undefined);
  if (!inspector) return; // a Node without it
  const session = new inspector.Session();
  session.connect();
  try {
    await session.post('HeapProfiler.collectGarbage');
    await setImmediate(); // V8 is still inside of the answer
  } finally {
    session.disconnect();
  }
}
