import { setImmediate } from 'node:timers/promises';

/** Longest time that analysis keeps the event loop, milliseconds: the ring must be drained meanwhile. */
const SLICE_MS = 8;

/** Returns a function to await between pieces of work: it lets other work run once a slice is used up. */
export function createPause(): () => Promise<void> {
  let sliceStart = performance.now();
  return async () => {
    if (performance.now() - sliceStart < SLICE_MS) return;
    await setImmediate();
    sliceStart = performance.now();
  };
}
