import { SHN_UNDEF, type SHT_DYNSYM, type SHT_SYMTAB } from './constants.ts';
import type { ElfFile } from './elf.ts';
import { hasBytes, type Section } from './sections.ts';

/** A symbol section together with its string table. */
export interface SymbolTable {
  readonly symbols: Section;
  readonly strings: Section;
  readonly count: number;
}

const SYM_SIZE = 24;
const CHUNK_SYMBOLS = 1 << 15;

/** The first table of that type; undefined when there is none, or its string table is missing or outside the file. */
export function findSymbolTable(
  elf: ElfFile,
  type: typeof SHT_SYMTAB | typeof SHT_DYNSYM,
): SymbolTable | undefined {
  const symbols = elf.sections.find((section) => section.type === type && hasBytes(section, elf.source.size));
  const strings = symbols && elf.sections[symbols.link];
  if (symbols === undefined || strings === undefined || !hasBytes(strings, elf.source.size)) return undefined;
  return { symbols, strings, count: Math.floor(symbols.size / SYM_SIZE) };
}

/**
 * A run of consecutive Elf64_Sym entries, read by index so that a table of a million symbols allocates nothing
 * a symbol.
 */
export class SymbolChunk {
  readonly first: number;
  readonly count: number;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, first: number) {
    this.first = first;
    this.count = Math.floor(bytes.length / SYM_SIZE);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  nameOffset(index: number): number {
    return this.#view.getUint32(index * SYM_SIZE, true);
  }

  /** STT_*. */
  type(index: number): number {
    return this.#view.getUint8(index * SYM_SIZE + 4) & 0xf;
  }

  /** STB_*. */
  binding(index: number): number {
    return this.#view.getUint8(index * SYM_SIZE + 4) >> 4;
  }

  sectionIndex(index: number): number {
    return this.#view.getUint16(index * SYM_SIZE + 6, true);
  }

  isDefined(index: number): boolean {
    return this.sectionIndex(index) !== SHN_UNDEF;
  }

  value(index: number): number {
    return this.#u64(index * SYM_SIZE + 8);
  }

  size(index: number): number {
    return this.#u64(index * SYM_SIZE + 16);
  }

  /** Values above 2^53, which no valid file has, lose their low bits. */
  #u64(at: number): number {
    return this.#view.getUint32(at + 4, true) * 0x1_0000_0000 + this.#view.getUint32(at, true);
  }
}

export function* symbolChunks(elf: ElfFile, table: SymbolTable): Generator<SymbolChunk> {
  for (let first = 0; first < table.count; first += CHUNK_SYMBOLS) {
    const count = Math.min(CHUNK_SYMBOLS, table.count - first);
    const offset = table.symbols.offset + first * SYM_SIZE;
    yield new SymbolChunk(elf.source.read(offset, count * SYM_SIZE, table.symbols.name), first);
  }
}
