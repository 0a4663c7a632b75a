import { createRequire } from 'node:module';
import type * as Iced from 'iced-x86';

let loaded: typeof Iced | undefined;

/** The disassembler, loaded at the first use: its wasm module takes about 20 ms to compile. */
export function iced(): typeof Iced {
  loaded ??= createRequire(import.meta.url)('iced-x86') as typeof Iced;
  return loaded;
}
