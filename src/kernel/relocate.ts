import type { BpfFunction, BpfObject, BpfSymbol, Relocation } from './bpf-object.ts';
import { isUndefined } from './bpf-object.ts';
import { BTF_KIND, type Btf } from './btf.ts';
import { resolveCore } from './core-relo.ts';
import {
  INSTRUCTION_SIZE,
  immediateAt,
  OPCODE,
  opcodeAt,
  PSEUDO,
  patchCore,
  poison,
  replaceByResult,
  setImmediate,
  setSource,
  sourceAt,
} from './instructions.ts';

/** A function whose maps, data, types and kernel functions are filled in; calls still point nowhere. */
export interface RelocatedFunction {
  readonly source: BpfFunction;
  readonly code: Buffer;
  readonly references: readonly FunctionReference[];
}

/** An instruction that names another function of the object: a call, or its address for bpf_loop. */
export interface FunctionReference {
  /** Byte offset in the referring function. */
  readonly at: number;
  readonly target: BpfFunction;
}

export interface RelocationContext {
  readonly object: BpfObject;
  readonly kernel: Btf;
  /** Descriptors of the object's maps and data sections by name. */
  readonly mapFds: ReadonlyMap<string, number>;
  /** Collects why an instruction was poisoned; its index is in the poisoned call's number. */
  readonly poisons: string[];
}

/** Far above any helper's number; what the kernel prints back is this plus the reason's index. */
export const POISON_BASE = 0x0bad_0000;

export function relocateFunction(source: BpfFunction, context: RelocationContext): RelocatedFunction {
  const code = Buffer.from(source.code);
  applyCore(source, code, context);
  const references: FunctionReference[] = [];
  for (const relocation of source.relocations) {
    const at = relocation.offset - source.start;
    const target = applyRelocation(source, code, at, relocation, context);
    if (target) references.push({ at, target });
  }
  references.push(...directCalls(source, code, context.object, references));
  return { source, code, references: references.sort((a, b) => a.at - b.at) };
}

function applyCore(source: BpfFunction, code: Buffer, context: RelocationContext): void {
  for (const relocation of context.object.btfExt.relocations.get(source.section) ?? []) {
    if (relocation.offset < source.start || relocation.offset >= source.end) continue;
    const at = relocation.offset - source.start;
    const result = resolveCore(context.object.btf, context.kernel, relocation);
    const written = result.ok && patchCore(code, at, result.value, result.accessSize);
    if (written) continue;
    const reason = result.ok ? `${result.value} does not fit the instruction` : result.reason;
    context.poisons.push(`${reason} (wanted by ${source.name})`);
    poison(code, at, POISON_BASE + context.poisons.length - 1);
  }
}

/** Returns the function that the instruction refers to, if it does. */
function applyRelocation(
  source: BpfFunction,
  code: Buffer,
  at: number,
  { symbol }: Relocation,
  context: RelocationContext,
): BpfFunction | undefined {
  const opcode = opcodeAt(code, at);
  if (isUndefined(symbol)) {
    applyExtern(source, code, at, symbol, context);
    return undefined;
  }
  const section = context.object.sectionNames[symbol.sectionIndex] ?? '';
  if (opcode === OPCODE.CALL)
    return functionAt(context.object, symbol, symbol.value + (immediateAt(code, at) + 1) * INSTRUCTION_SIZE);
  if (opcode !== OPCODE.LD_IMM64)
    throw new Error(`Cannot relocate ${source.name} at ${at}: opcode ${opcode} with symbol ${symbol.name}`);
  if (section === '.maps') {
    setPseudo(code, at, PSEUDO.MAP_FD, mapFd(context, symbol.name));
    return undefined;
  }
  if (context.object.data.has(section)) {
    const position = symbol.value + immediateAt(code, at);
    setPseudo(code, at, PSEUDO.MAP_VALUE, mapFd(context, section));
    setImmediate(code, at + INSTRUCTION_SIZE, position);
    return undefined;
  }
  return functionAt(context.object, symbol, symbol.value + immediateAt(code, at));
}

function setPseudo(code: Buffer, at: number, source: number, immediate: number): void {
  setSource(code, at, source);
  setImmediate(code, at, immediate);
}

function mapFd(context: RelocationContext, name: string): number {
  const fd = context.mapFds.get(name);
  if (fd === undefined)
    throw new Error(`Cannot relocate a reference to map ${name}: the object defines no such map`);
  return fd;
}

function functionAt(object: BpfObject, symbol: BpfSymbol, start: number): BpfFunction {
  const target = object.functions.find(
    (candidate) => candidate.sectionIndex === symbol.sectionIndex && candidate.start === start,
  );
  if (target) return target;
  throw new Error(
    `Cannot relocate a reference to ${object.sectionNames[symbol.sectionIndex]}+${start}: no function begins there`,
  );
}

/** A kernel function: called by its BTF id, tested for existence by a constant. */
function applyExtern(
  source: BpfFunction,
  code: Buffer,
  at: number,
  symbol: BpfSymbol,
  context: RelocationContext,
): void {
  const id = context.kernel.find(BTF_KIND.FUNC, symbol.name);
  if (id === undefined && !symbol.weak) {
    throw new Error(`Cannot load ${source.name}: this kernel has no function ${symbol.name}`);
  }
  if (opcodeAt(code, at) === OPCODE.LD_IMM64) {
    setImmediate(code, at, id === undefined ? 0 : 1);
    return;
  }
  if (id === undefined) {
    replaceByResult(code, at, 0);
    return;
  }
  code.writeInt16LE(0, at + 2);
  setPseudo(code, at, PSEUDO.KFUNC_CALL, id);
}

/** Calls inside one section that the compiler resolved itself, so that no relocation names them. */
function directCalls(
  source: BpfFunction,
  code: Buffer,
  object: BpfObject,
  known: readonly FunctionReference[],
): FunctionReference[] {
  const relocated = new Set(known.map(({ at }) => at));
  const references: FunctionReference[] = [];
  for (let at = 0; at < code.length; at += INSTRUCTION_SIZE) {
    if (opcodeAt(code, at) !== OPCODE.CALL || sourceAt(code, at) !== PSEUDO.CALL || relocated.has(at))
      continue;
    const start = source.start + at + (immediateAt(code, at) + 1) * INSTRUCTION_SIZE;
    const target = object.functions.find(
      (candidate) => candidate.sectionIndex === source.sectionIndex && candidate.start === start,
    );
    if (!target)
      throw new Error(
        `Cannot relocate the call at ${source.name}+${at}: no function begins at ${source.section}+${start}`,
      );
    references.push({ at, target });
  }
  return references;
}
