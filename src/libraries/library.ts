import type { BinaryFacts, CrateFact, SymbolQuery } from '../analysis/facts.ts';
import type { ProgramName, RecognisedLibrary } from '../plan/plan.ts';

/** Registers that carry arguments in the System V and Rust calling conventions. */
export type ArgumentName = 'rdi' | 'rsi' | 'rdx' | 'rcx' | 'r8';

/** A place a library wants probed: the first block of a function, with these arguments still in registers. */
export interface Hook {
  /** `hyper.server.parse`. */
  readonly name: string;
  readonly program: ProgramName;
  /** Id of the SymbolQuery whose answers are the functions. */
  readonly query: string;
  readonly arguments: readonly ArgumentName[];
  /** More functions of the name than this are not probed; 8 without it. A generic one has many. */
  readonly limit?: number;
  /** For messages: what a span loses without it. */
  readonly gives: string;
}

export interface Library {
  readonly name: string;
  readonly queries: readonly SymbolQuery[];
  readonly hooks: readonly Hook[];
}

/** A layout looked up or a reason; never a guess without saying so. */
export type Found<T> = { readonly value: T; readonly evidence: string } | { readonly missing: string };

export function cratesNamed(facts: BinaryFacts, name: string): readonly CrateFact[] {
  return facts.crates.filter((crate) => crate.name === name);
}

/** Crates say `actix-http` in registry paths and `actix_http` in symbols: compared without the difference. */
export function hasCrate(facts: BinaryFacts, name: string): boolean {
  const wanted = name.replaceAll('-', '_');
  return facts.crates.some((crate) => crate.name.replaceAll('-', '_') === wanted);
}

export function hasFunction(facts: BinaryFacts, query: string): boolean {
  return (facts.functions[query] ?? []).length > 0;
}

/** The evidence without where cargo keeps its registry: that part differs between build machines. */
export function recognisedCrate({ name, version, evidence }: CrateFact): RecognisedLibrary {
  return { name, version, evidence: evidence.replace(/^.*\bregistry\/src\/[^/]+\//, '') };
}

/** True when some symbol table of functions is there, so that "not found" means something. */
export function hasSymbols(facts: BinaryFacts): boolean {
  return facts.symbols.symtab > 0 || facts.symbols.debugFile > 0;
}
