import { svma } from '../base/address.ts';
import { codeRanges } from '../elf/code-ranges.ts';
import { SHF_ALLOC, SHT_PROGBITS, SHT_RELA, STT_FUNC } from '../elf/constants.ts';
import type { ElfFile } from '../elf/elf.ts';
import { hasBytes, type Section } from '../elf/sections.ts';
import { type SymbolTable, symbolChunks } from '../elf/symbols.ts';
import { windows } from './windows.ts';

const R_X86_64_RELATIVE = 8;
const RELA_SIZE = 24;
/** Slots of the global offset table that one variable may have, and places of code that may name it. */
const MAX_POINTERS = 64;
const MAX_REFERENCES = 1 << 12;
/** `48 8B 05 disp32`: REX, opcode, ModRM, displacement. */
const LOAD_SIZE = 7;

type Pause = () => Promise<void>;

/**
 * Addresses of data that hold the address `target` when the program runs: from relocations, else (packed
 * relocations, fixed addresses) from what the global offset table has in the file.
 */
export async function pointersTo(elf: ElfFile, target: number, pause: Pause): Promise<readonly number[]> {
  const found = new Set<number>();
  for (const section of elf.sections) {
    if (!hasBytes(section, elf.source.size) || (section.flags & SHF_ALLOC) === 0) continue;
    if (section.type === SHT_RELA) await relaPointers(elf, section, target, found, pause);
    else if (/^\.(?:got|data\.rel\.ro)/.test(section.name))
      await storedPointers(elf, section, target, found, pause);
  }
  return [...found].sort((a, b) => a - b);
}

async function relaPointers(
  elf: ElfFile,
  section: Section,
  target: number,
  found: Set<number>,
  pause: Pause,
): Promise<void> {
  const [low, high] = halves(target);
  for (const { view, count } of records(elf, section, RELA_SIZE)) {
    for (let at = 0; at < count * RELA_SIZE && found.size < MAX_POINTERS; at += RELA_SIZE) {
      if (view.getUint32(at + 16, true) !== low || view.getUint32(at + 20, true) !== high) continue;
      if (view.getUint32(at + 8, true) === R_X86_64_RELATIVE) found.add(u64(view, at));
    }
    await pause();
  }
}

async function storedPointers(
  elf: ElfFile,
  section: Section,
  target: number,
  found: Set<number>,
  pause: Pause,
): Promise<void> {
  if (section.type !== SHT_PROGBITS) return;
  const [low, high] = halves(target);
  for (const { view, count, start } of records(elf, section, 8)) {
    for (let at = 0; at < count * 8 && found.size < MAX_POINTERS; at += 8)
      if (view.getUint32(at, true) === low && view.getUint32(at + 4, true) === high)
        found.add(section.svma + start + at);
    await pause();
  }
}

function* records(elf: ElfFile, section: Section, size: number) {
  for (const { start, bytes } of windows(elf.source, section.offset, section.size, size)) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    yield { start, view, count: Math.floor(bytes.length / size) };
  }
}

const halves = (value: number): readonly [number, number] => [value >>> 0, Math.floor(value / 0x1_0000_0000)];
const u64 = (view: DataView, at: number): number =>
  view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);

/**
 * Places of executable code that look like an instruction with one of the addresses as its memory operand:
 *
 *     REX.W 8B|8D modrm disp32        mov r64, [rip + disp32]    lea r64, [rip + disp32]
 *     F0 REX.W 0F C1 modrm disp32     lock xadd [rip + disp32], r64
 *
 * Bytes only: whether they are such instructions is for a disassembler to say.
 */
export async function codeReferences(
  elf: ElfFile,
  targets: readonly number[],
  pause: Pause,
): Promise<readonly number[]> {
  const found: number[] = [];
  const wanted = new Set(targets);
  for (const { svma: start, offset, size } of codeRanges(elf)) {
    for (const window of windows(elf.source, offset, size, 1, LOAD_SIZE)) {
      scanCode(window.bytes, start + window.start, wanted, found);
      await pause();
    }
  }
  return found;
}

function scanCode(bytes: Buffer, start: number, wanted: ReadonlySet<number>, found: number[]): void {
  const end = bytes.length - 4;
  for (let at = 2; at < end && found.length < MAX_REFERENCES; at++) {
    // ModRM: no base register, 32-bit displacement from the next instruction.
    if (((bytes[at] ?? 0) & 0xc7) !== 0x05) continue;
    const opcode = bytes[at - 1];
    if (opcode !== 0x8b && opcode !== 0x8d && opcode !== 0xc1) continue;
    if (wanted.has(start + at + 5 + bytes.readInt32LE(at + 1))) found.push(start + at);
  }
}

export interface NamedFunction {
  readonly nameOffset: number;
  readonly svma: number;
  readonly size: number;
}

/** Of each place the function symbol around it, once; places outside all of them are dropped. */
export async function functionsAround(
  elf: ElfFile,
  table: SymbolTable,
  places: readonly number[],
  pause: Pause,
): Promise<readonly NamedFunction[]> {
  const sorted = places.toSorted((a, b) => a - b);
  const found = new Map<number, NamedFunction>();
  for (const chunk of symbolChunks(elf, table)) {
    for (let index = 0; index < chunk.count; index++) {
      if (chunk.type(index) !== STT_FUNC || !chunk.isDefined(index)) continue;
      const [start, size] = [chunk.value(index), chunk.size(index)];
      if (holdsOne(sorted, start, start + size) && !found.has(start))
        found.set(start, { nameOffset: chunk.nameOffset(index), svma: svma(start), size });
    }
    await pause();
  }
  return [...found.values()].sort((a, b) => a.svma - b.svma);
}

function holdsOne(sorted: readonly number[], start: number, end: number): boolean {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? 0) < start) low = middle + 1;
    else high = middle;
  }
  return (sorted[low] ?? Number.POSITIVE_INFINITY) < end;
}
