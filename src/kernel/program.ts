import type { BpfFunction } from './bpf-object.ts';
import type { InfoRecords } from './bpf-syscall.ts';
import type { ExtRecords } from './btf-ext.ts';
import { INSTRUCTION_SIZE, OPCODE, opcodeAt, PSEUDO, setImmediate, setSource } from './instructions.ts';
import { type RelocatedFunction, type RelocationContext, relocateFunction } from './relocate.ts';

/** One program as the kernel takes it: the entry function, then every function it reaches. */
export interface AssembledProgram {
  readonly code: Buffer;
  readonly functionInfo: InfoRecords | undefined;
  readonly lineInfo: InfoRecords | undefined;
}

interface PlacedFunction {
  readonly relocated: RelocatedFunction;
  /** Byte offset in the program. */
  readonly start: number;
}

export function assembleProgram(entry: BpfFunction, context: RelocationContext): AssembledProgram {
  const placed = placeFunctions(entry, context);
  const starts = new Map([...placed.values()].map(({ relocated, start }) => [relocated.source, start]));
  const code = Buffer.concat([...placed.values()].map(({ relocated }) => relocated.code));
  for (const { relocated, start } of placed.values()) {
    for (const reference of relocated.references) {
      pointTo(code, start + reference.at, starts.get(reference.target) ?? 0);
    }
  }
  const { functions, lines } = context.object.btfExt;
  return { code, functionInfo: collectInfo(placed, functions), lineInfo: collectInfo(placed, lines) };
}

/** Entry first; each further function once, in the order it is first referred to. */
function placeFunctions(entry: BpfFunction, context: RelocationContext): Map<BpfFunction, PlacedFunction> {
  const placed = new Map<BpfFunction, PlacedFunction>();
  let start = 0;
  const queue = [entry];
  for (let source = queue.shift(); source; source = queue.shift()) {
    if (placed.has(source)) continue;
    const relocated = relocateFunction(source, context);
    placed.set(source, { relocated, start });
    start += relocated.code.length;
    queue.push(...relocated.references.map(({ target }) => target));
  }
  return placed;
}

/** Calls and function addresses are relative to the next instruction, in instructions. */
function pointTo(code: Buffer, at: number, target: number): void {
  const isAddress = opcodeAt(code, at) === OPCODE.LD_IMM64;
  setSource(code, at, isAddress ? PSEUDO.FUNC : PSEUDO.CALL);
  setImmediate(code, at, (target - at) / INSTRUCTION_SIZE - 1);
  if (isAddress) setImmediate(code, at + INSTRUCTION_SIZE, 0);
}

/** Records of the program's functions with offsets as the kernel counts them: instructions from the start. */
function collectInfo(
  placed: ReadonlyMap<BpfFunction, PlacedFunction>,
  tables: ReadonlyMap<string, ExtRecords>,
): InfoRecords | undefined {
  const chunks: Buffer[] = [];
  let recordSize = 0;
  for (const { relocated, start } of placed.values()) {
    const table = tables.get(relocated.source.section);
    const records = table ? recordsOf(relocated.source, table, start) : [];
    if (!table || records.length === 0) return undefined; // all functions or none
    recordSize = table.recordSize;
    chunks.push(...records);
  }
  return { recordSize, bytes: Buffer.concat(chunks) };
}

function recordsOf(source: BpfFunction, table: ExtRecords, start: number): Buffer[] {
  const records: Buffer[] = [];
  for (let at = firstRecord(table, source.start); at < table.bytes.length; at += table.recordSize) {
    const offset = table.bytes.readUInt32LE(at);
    if (offset >= source.end) break;
    const record = Buffer.from(table.bytes.subarray(at, at + table.recordSize));
    record.writeUInt32LE((offset - source.start + start) / INSTRUCTION_SIZE, 0);
    records.push(record);
  }
  return records;
}

/** Position of the first record at or behind `start`: compilers write them in order. */
function firstRecord({ bytes, recordSize }: ExtRecords, start: number): number {
  let low = 0;
  let high = Math.floor(bytes.length / recordSize);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (bytes.readUInt32LE(middle * recordSize) < start) low = middle + 1;
    else high = middle;
  }
  return low * recordSize;
}
