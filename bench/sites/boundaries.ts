import type { CodeReader } from '../../src/analysis/facts.ts';
import { FileSource } from '../../src/analysis/file-source.ts';
import { svma } from '../../src/base/address.ts';
import { SHT_SYMTAB, STT_FUNC } from '../../src/elf/constants.ts';
import { parseElf } from '../../src/elf/elf.ts';
import { findSymbolTable, symbolChunks } from '../../src/elf/symbols.ts';
import { FunctionDecoder } from '../../src/x86/instruction.ts';

interface Extent {
  readonly start: number;
  readonly end: number;
}

/** Tells whether an address is an instruction of the function around it, by the symbol table and decoding from its start. */
export function boundaryCheck(path: string, readCode: CodeReader): (address: number) => boolean {
  const functions = functionExtents(path);
  return (address) => {
    const around = functions.find(({ start, end }) => address >= start && address < end);
    const code = around && readCode(svma(around.start), around.end - around.start);
    if (!around || !code) return false;
    using decoder = new FunctionDecoder(code);
    const wanted = address - around.start;
    for (let one = decoder.next(); one && one.offset <= wanted; one = decoder.next()) {
      if (one.offset === wanted) return one.flow !== 'invalid';
    }
    return false;
  };
}

function functionExtents(path: string): readonly Extent[] {
  using source = new FileSource(path);
  const elf = parseElf(source, path);
  const table = findSymbolTable(elf, SHT_SYMTAB);
  if (!table) throw new Error(`Cannot judge sites: ${path} has no symbols`);
  const extents: Extent[] = [];
  for (const chunk of symbolChunks(elf, table))
    for (let index = 0; index < chunk.count; index++) {
      if (chunk.type(index) !== STT_FUNC || !chunk.isDefined(index)) continue;
      extents.push({ start: chunk.value(index), end: chunk.value(index) + chunk.size(index) });
    }
  return extents;
}
