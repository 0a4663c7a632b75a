import type { FileOffset, Svma } from '../base/address.ts';
import type { RecoveredSite, Recovery, ThreadWord } from '../recover/recogniser.ts';

/** One PT_LOAD segment. Sizes in bytes. */
export interface LoadSegment {
  readonly fileOffset: FileOffset;
  readonly svma: Svma;
  readonly fileSize: number;
  readonly memSize: number;
  readonly executable: boolean;
}

/** Where a symbol was read: the file itself or its separate debug file. */
export type SymbolSource = 'symtab' | 'dynsym' | 'debug-file';
/** `recovered`: there is no symbol; other traces in the program tell. */
export type FactSource = SymbolSource | 'recovered';

/** A function the plan asked for, found by its demangled name, or without one. */
export interface FunctionFact {
  /** Demangled, without the legacy hash suffix (`::h0123456789abcdef`). */
  readonly name: string;
  readonly svma: Svma;
  /** Bytes; 0 when the symbol table does not tell. */
  readonly size: number;
  readonly source: FactSource;
  /** Of a recovered one: what tells. */
  readonly evidence?: string;
}

/** A thread-local variable found by its demangled name; `offset` is its place in the PT_TLS template. */
export interface TlsVariableFact {
  readonly name: string;
  readonly offset: number;
  readonly size: number;
  readonly source: SymbolSource;
}

/** A variable found by its demangled name, or a vtable found by a method in it. */
export interface ObjectFact {
  readonly name: string;
  readonly svma: Svma;
  readonly size: number;
  readonly source: FactSource;
  /** Where its address is stored for code to load: slots of the global offset table. */
  readonly pointers: readonly Svma[];
  /** Functions whose code may name it or one of its pointers, sorted by svma: bytes that look like it were seen. */
  readonly users: readonly FunctionFact[];
}

export interface CrateFact {
  readonly name: string;
  /** Semver as in the registry path, or undefined for a git or vendored checkout without one. */
  readonly version: string | undefined;
  /** A string of the binary that tells, for a person to check. */
  readonly evidence: string;
}

export interface RustcFact {
  /** `1.95.0`, or undefined when only the commit is known and the table has no such commit. */
  readonly version: string | undefined;
  /** 40 hex digits from `/rustc/<hash>/` strings. */
  readonly commit: string | undefined;
  readonly evidence: string;
}

/**
 * A question the plan asks of a binary's symbol tables. Matching is on the demangled name without hash.
 * `contains` is a cheap mangled-name filter (every string must occur in the mangled name) so that only
 * candidates are demangled; `pattern` decides.
 */
export interface SymbolQuery {
  readonly id: string;
  readonly kind: 'function' | 'tls' | 'object';
  readonly contains: readonly string[];
  readonly pattern: RegExp;
  /**
   * Of a function: it is the method at this word of a vtable (0 is the destructor), and the vtables that have it there
   * are wanted as objects.
   */
  readonly vtableWord?: number;
  /** For programs without symbols. */
  readonly recovery?: Recovery;
  /** Also for programs that have symbols for one of these queries and none for this one: it is inlined. */
  readonly inlinedBeside?: readonly string[];
}

/** A question for DWARF: where in a type a member is. */
export interface MemberQuery {
  readonly id: string;
  /** Names with their modules; the first that the program has counts. */
  readonly types: readonly string[];
  /** Members from the outside in, as `PartFinder` takes them; none for the type itself. */
  readonly path: readonly string[];
}

/** A member, or a type itself. Bytes. */
export interface MemberFact {
  readonly type: string;
  readonly typeSize: number;
  readonly offset: number;
  readonly size: number;
}

/** What one executable or shared object is. Same bytes in → same facts, on any machine. */
export interface BinaryFacts {
  readonly fileSize: number;
  /** Lower-case hex of NT_GNU_BUILD_ID; undefined when the linker wrote none. */
  readonly buildId: string | undefined;
  readonly type: 'executable' | 'pie' | 'shared-object';
  readonly linkage: 'static' | 'dynamic';
  /** From PT_INTERP, `/lib64/ld-linux-x86-64.so.2`. */
  readonly interpreter: string | undefined;
  /** DT_NEEDED names. */
  readonly neededLibraries: readonly string[];
  readonly segments: readonly LoadSegment[];
  /** PT_TLS: template size in memory and its alignment, bytes. */
  readonly tls: { readonly svma: Svma; readonly memSize: number; readonly align: number } | undefined;
  readonly symbols: {
    /** Functions by table; 0 where the table is absent. */
    readonly symtab: number;
    readonly dynsym: number;
    readonly debugFile: number;
    readonly debugFilePath: string | undefined;
  };
  /** `.debug_info` present in the file or its debug file. */
  readonly dwarf: boolean;
  readonly ehFrame: boolean;
  readonly isRust: boolean;
  readonly rustc: RustcFact | undefined;
  readonly crates: readonly CrateFact[];
  /** Of the program's own package, where cargo-auditable recorded it. */
  readonly packageVersion?: string;
  /** Answers by SymbolQuery.id, each sorted by svma. A query without an answer has an empty list. */
  readonly functions: Readonly<Record<string, readonly FunctionFact[]>>;
  readonly tlsVariables: Readonly<Record<string, readonly TlsVariableFact[]>>;
  readonly objects: Readonly<Record<string, readonly ObjectFact[]>>;
  readonly recovered: RecoveredFacts;
  /** Answers of DWARF by MemberQuery.id; a query without an answer is absent. */
  readonly members: Readonly<Record<string, MemberFact>>;
}

/** A place in a function that has what another one, inlined there, would be given. */
export interface SiteFact {
  readonly function: FunctionFact;
  /** From the function's entry, bytes; 0: any place of its first block that still has the arguments. */
  readonly offset: number;
  readonly arguments?: RecoveredSite['arguments'];
  /** By number in x86 encodings: the one that leads to the datum, and how many bytes behind it that is. */
  readonly register: number;
  readonly displacement: number;
}

/** What was looked for without symbols; all empty where symbols tell. */
export interface RecoveredFacts {
  /** Why the program can't be searched; undefined when it was, or has symbols. */
  readonly problem: string | undefined;
  /** By SymbolQuery.id. */
  readonly threadWords: Readonly<Record<string, readonly ThreadWord[]>>;
  /** By SymbolQuery.id, where functions that have that name are inlined. */
  readonly sites: Readonly<Record<string, readonly SiteFact[]>>;
  /** By SymbolQuery.id, why nothing was found. */
  readonly missing: Readonly<Record<string, string>>;
}

/** The code of one function, for site selection. */
export interface CodeRange {
  readonly svma: Svma;
  readonly fileOffset: FileOffset;
  readonly bytes: Uint8Array;
}

/** Reads instruction bytes out of the file the facts came from; undefined outside executable segments. */
export type CodeReader = (start: Svma, size: number) => CodeRange | undefined;
