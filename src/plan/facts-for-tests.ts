import type { BinaryFacts, FunctionFact, TlsVariableFact } from '../analysis/facts.ts';
import { svma } from '../base/address.ts';

/** A program of nothing but what a test gives it. */
export function factsWith(parts: Partial<BinaryFacts>): BinaryFacts {
  return {
    fileSize: 1000,
    buildId: 'ab',
    type: 'pie',
    linkage: 'dynamic',
    interpreter: undefined,
    neededLibraries: [],
    segments: [],
    tls: { svma: svma(0x1000), memSize: 0x100, align: 8 },
    symbols: { symtab: 100, dynsym: 0, debugFile: 0, debugFilePath: undefined },
    dwarf: false,
    ehFrame: true,
    isRust: true,
    rustc: { version: '1.95.0', commit: undefined, evidence: '' },
    crates: [],
    functions: {},
    tlsVariables: {},
    objects: {},
    recovered: { problem: undefined, threadWords: {}, sites: {}, missing: {} },
    members: {},
    ...parts,
  };
}

export const crate = (name: string, version: string | undefined) => ({
  name,
  version,
  evidence: `${name}-${version}`,
});

export const functionAt = (name: string, address: number, size = 4): FunctionFact => ({
  name,
  svma: svma(address),
  size,
  source: 'symtab',
});

export const context = (size: number, offset = 0x30): TlsVariableFact => ({
  name: 'tokio::runtime::context::CONTEXT::{{constant}}::{{closure}}::VAL',
  offset,
  size,
  source: 'symtab',
});
