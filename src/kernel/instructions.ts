/** Encoding of struct bpf_insn: opcode, dst:4 src:4, offset (s16), immediate (s32). Eight bytes. */
export const INSTRUCTION_SIZE = 8;

export const OPCODE = {
  LD_IMM64: 0x18, // two instruction slots
  CALL: 0x85,
  MOV64_K: 0xb7,
} as const;

const CLASS_MASK = 0x07;
export const CLASS = { LD: 0, LDX: 1, ST: 2, STX: 3, ALU: 4, ALU64: 7 } as const;

/** Values of src_reg that change the meaning of LD_IMM64 and CALL. */
export const PSEUDO = { MAP_FD: 1, MAP_VALUE: 2, FUNC: 4, CALL: 1, KFUNC_CALL: 2 } as const;

export const opcodeAt = (code: Buffer, at: number): number => code.readUInt8(at);
export const classAt = (code: Buffer, at: number): number => code.readUInt8(at) & CLASS_MASK;
export const immediateAt = (code: Buffer, at: number): number => code.readInt32LE(at + 4);
export const sourceAt = (code: Buffer, at: number): number => code.readUInt8(at + 1) >> 4;

export function setSource(code: Buffer, at: number, source: number): void {
  code.writeUInt8((code.readUInt8(at + 1) & 0x0f) | (source << 4), at + 1);
}

export function setImmediate(code: Buffer, at: number, value: number): void {
  code.writeInt32LE(value | 0, at + 4);
}

/** Bytes the instruction at `at` takes: LD_IMM64 has two slots. */
export function sizeAt(code: Buffer, at: number): number {
  return opcodeAt(code, at) === OPCODE.LD_IMM64 ? 2 * INSTRUCTION_SIZE : INSTRUCTION_SIZE;
}

/** `r0 = value` */
export function replaceByResult(code: Buffer, at: number, value: number): void {
  code.writeUInt8(OPCODE.MOV64_K, at);
  code.writeUInt8(0, at + 1);
  code.writeInt16LE(0, at + 2);
  setImmediate(code, at, value);
}

/**
 * A call of a helper that no kernel has: harmless in code the verifier proves dead, an "invalid func" error
 * that carries `number` where it can be reached.
 */
export function poison(code: Buffer, at: number, number: number): void {
  for (let slot = at; slot < at + sizeAt(code, at); slot += INSTRUCTION_SIZE) {
    code.fill(0, slot, slot + INSTRUCTION_SIZE);
    code.writeUInt8(OPCODE.CALL, slot);
    setImmediate(code, slot, number);
  }
}

const SIZE_BITS: Readonly<Record<number, number>> = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 };

/** Writes a CO-RE answer; false when the instruction can't hold it. */
export function patchCore(code: Buffer, at: number, value: bigint, accessSize: number | undefined): boolean {
  switch (classAt(code, at)) {
    case CLASS.LDX:
    case CLASS.ST:
    case CLASS.STX:
      return patchMemory(code, at, value, accessSize);
    case CLASS.LD:
      if (opcodeAt(code, at) !== OPCODE.LD_IMM64) return false;
      code.writeInt32LE(Number(BigInt.asIntN(32, value)), at + 4);
      code.writeInt32LE(Number(BigInt.asIntN(32, value >> 32n)), at + INSTRUCTION_SIZE + 4);
      return true;
    case CLASS.ALU:
    case CLASS.ALU64:
      if (value !== BigInt.asIntN(32, value) && value !== BigInt.asUintN(32, value)) return false;
      code.writeInt32LE(Number(BigInt.asIntN(32, value)), at + 4);
      return true;
    default:
      return false;
  }
}

function patchMemory(code: Buffer, at: number, value: bigint, accessSize: number | undefined): boolean {
  if (value > 0x7fffn) return false;
  code.writeInt16LE(Number(value), at + 2);
  const bits = accessSize === undefined ? undefined : SIZE_BITS[accessSize];
  if (bits !== undefined && classAt(code, at) === CLASS.LDX) {
    code.writeUInt8((opcodeAt(code, at) & ~0x18) | bits, at);
  }
  return true;
}
