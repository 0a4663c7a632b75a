import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** The part of the WebAssembly API used here: TypeScript has it only in its browser library. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
  readonly RuntimeError: new (message: string) => Error;
};

interface WasmTable {
  grow(count: number): number;
  set(index: number, value: unknown): void;
}

/** The exports of gecko-profiler-demangle's wasm module (wasm-bindgen's ABI) that a call needs. */
interface DemanglerModule {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly __wbindgen_export_0: WasmTable;
  readonly __wbindgen_malloc: (size: number, align: number) => number;
  readonly __wbindgen_free: (pointer: number, size: number, align: number) => void;
  readonly __wbindgen_start: () => void;
  readonly demangle_any: (pointer: number, size: number) => [pointer: number, size: number];
}

/** Longer names exist only in hostile files; v0 back-references let them expand to a megabyte each. */
const MAX_MANGLED = 1 << 16;

let compiled: object | undefined;
let instance: DemanglerModule | undefined;

/** `_RNv…` (v0) or `_ZN…17h<16 hex>E` with an optional suffix such as `.llvm.123` (legacy). */
export function isRustName(name: string): boolean {
  return /^_R[A-Z]/.test(name) || /^_ZN.*17h[0-9a-f]{16}E(?:\.|$)/.test(name);
}

/**
 * The demangled form of a Rust symbol name without the legacy hash (`hyper::proto::h1::role::Server::parse`);
 * any other name is returned as it is.
 */
export function demangle(name: string): string {
  if (name.length > MAX_MANGLED || !isRustName(name)) return name;
  try {
    const demangled = callDemangler(name);
    // What looks mangled but is not comes back without its leading underscore.
    return demangled === name.slice(1) ? name : demangled;
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    // A trap leaves the module's memory in an unknown state.
    instance = undefined;
    return name;
  }
}

function callDemangler(name: string): string {
  instance ??= instantiate();
  const input = Buffer.from(name, 'utf8');
  const pointer = instance.__wbindgen_malloc(input.length, 1) >>> 0;
  new Uint8Array(instance.memory.buffer, pointer, input.length).set(input);
  const [outPointer, outSize] = instance.demangle_any(pointer, input.length);
  const demangled = Buffer.from(instance.memory.buffer, outPointer >>> 0, outSize).toString('utf8');
  instance.__wbindgen_free(outPointer, outSize, 1);
  return demangled;
}

function instantiate(): DemanglerModule {
  compiled ??= new WebAssembly.Module(readFileSync(wasmPath()));
  const glue = { __wbindgen_init_externref_table: () => initExternrefs(exports) };
  const exports = new WebAssembly.Instance(compiled, { './index_bg.js': glue }).exports as DemanglerModule;
  exports.__wbindgen_start();
  return exports;
}

function wasmPath(): string {
  return createRequire(import.meta.url).resolve('gecko-profiler-demangle/index_bg.wasm');
}

/** What wasm-bindgen's start function expects: four reserved slots at the end of its reference table. */
function initExternrefs(module: DemanglerModule): void {
  const table = module.__wbindgen_export_0;
  const first = table.grow(4);
  table.set(0, undefined);
  for (const [index, value] of [undefined, null, true, false].entries()) table.set(first + index, value);
}
