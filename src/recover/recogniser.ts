import type { ArgumentRegister } from '../x86/instruction.ts';
import type { Program } from './program.ts';

/** A function that was found without a symbol. */
export interface RecoveredFunction {
  /** As its demangled symbol would be. */
  readonly name: string;
  readonly svma: number;
  readonly size: number;
  /** What tells, for a person to check. */
  readonly evidence: string;
}

/** A place in code that has what a function would be given, where that function is inlined. */
export interface RecoveredSite {
  readonly function: RecoveredFunction;
  /** From the function's entry, bytes; 0: any place of its first block that still has the arguments. */
  readonly offset: number;
  readonly arguments?: readonly ArgumentRegister[];
  /** By number in x86 encodings: the one that leads to the datum, and how many bytes behind it that is. */
  readonly register: number;
  readonly displacement: number;
}

/** Functions, or sites where they are inlined, none of them a guess, or why there are none. */
export type Recognition =
  | { readonly found: readonly RecoveredFunction[]; readonly sites?: readonly RecoveredSite[] }
  | { readonly reason: string };

/** Finds the functions that a symbol of a certain name would have. */
export type Recogniser = (program: Program) => Recognition;

/** A variable that was found without a symbol. */
export interface RecoveredObject extends RecoveredFunction {
  /** Where its address is stored for code to load: slots of the global offset table. */
  readonly pointers: readonly number[];
  readonly users: readonly RecoveredFunction[];
}

export type ObjectRecognition = { readonly found: readonly RecoveredObject[] } | { readonly reason: string };
export type ObjectRecogniser = (program: Program) => ObjectRecognition;

/** A word of thread-local memory that a library's code reads and writes in one place. */
export interface ThreadWord {
  /** From the thread pointer, bytes. */
  readonly offset: number;
  /** Thread-local bytes that the same functions look at, sorted. */
  readonly bytes: readonly number[];
  /** Where the variable around it begins, as functions say that tell its address: sorted, one if they agree. */
  readonly starts: readonly number[];
}

export type WordRecognition = { readonly found: readonly ThreadWord[] } | { readonly reason: string };
export type WordRecogniser = (program: Program) => WordRecognition;

/** How the answers to a query are found in a program without symbols. */
export type Recovery =
  | { readonly kind: 'functions'; readonly find: Recogniser }
  | { readonly kind: 'object'; readonly find: ObjectRecogniser }
  | { readonly kind: 'thread-words'; readonly find: WordRecogniser };
