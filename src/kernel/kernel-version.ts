import { arch, release } from 'node:os';

/** The oldest kernel the agent runs on: the first with bpf_loop, which every parser of the kernel side uses. */
export const OLDEST_KERNEL = '5.17';

/** `6.18.44-fc` → [6, 18]. */
export function kernelVersion(text: string = release()): readonly [number, number] {
  const match = /^(\d+)\.(\d+)/.exec(text);
  if (!match) throw new Error(`Cannot read the kernel's version: ${text}`);
  return [Number(match[1]), Number(match[2])];
}

/** True when this kernel is `wanted` ("6.6") or later. */
export function kernelIsAtLeast(wanted: string, text: string = release()): boolean {
  const [major, minor] = kernelVersion(text);
  const [wantedMajor, wantedMinor] = kernelVersion(wanted);
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor);
}

/** One sentence for the user when no part of tracing can work on this kernel; undefined when it may. */
export function unsupportedKernel(text: string = release(), machine: string = arch()): string | undefined {
  if (machine !== 'x64') return `this machine is ${machine}; only x86-64 is supported`;
  if (kernelIsAtLeast(OLDEST_KERNEL, text)) return undefined;
  return `kernel ${text} is too old: ${OLDEST_KERNEL} or later is needed`;
}
