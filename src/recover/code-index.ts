import type { DataImage } from '../elf/data-image.ts';
import type { FunctionRanges } from '../elf/eh-frame.ts';

/** What the bytes of the code look like, in the order of their addresses: `places[i]` refers to `targets[i]`. */
export interface References {
  readonly places: Float64Array;
  readonly targets: Float64Array;
}

/** Of a whole program, from its bytes alone: whether each place is an instruction is for a disassembler to say. */
export interface CodeIndex {
  /** Addresses of data, loaded or read: `lea`, `mov`, and in programs at fixed addresses immediates. */
  readonly data: References;
  /** Calls and jumps to the start of another function, direct or by the global offset table. */
  readonly calls: References;
  /** Calls of other objects' functions, by their slot. */
  readonly imports: References;
  /** `lock xadd` of 64 bits. */
  readonly additions: readonly number[];
  /** The prefix FS: thread-local memory. */
  readonly threadLocal: readonly number[];
}

/** Bytes of an instruction before the end of the window that are left to the next one. */
export const WINDOW_OVERLAP = 16;
/** References of one program: its code would be larger than any. */
const MAX_REFERENCES = 1 << 23;

const RELATIVE = 1;
const BRANCH = 2;
const ADDITION = 3;
const THREAD_LOCAL = 4;
const IMMEDIATE = 5;

/** What a byte of the code may be of: a ModRM with a displacement from the instruction pointer, or an opcode. */
const KINDS = Uint8Array.from({ length: 256 }, (_, byte) => {
  if ((byte & 0xc7) === 0x05) return RELATIVE;
  if (byte === 0xe8 || byte === 0xe9) return BRANCH;
  if (byte === 0xc1) return ADDITION;
  if (byte === 0x64) return THREAD_LOCAL;
  return (byte & 0xf8) === 0xb8 ? IMMEDIATE : 0;
});

/** Gathers references window by window; `scan` must be given the windows in order. */
export class CodeIndexer {
  readonly #image: DataImage;
  readonly #starts: ReadonlySet<number>;
  readonly #fixed: boolean;
  readonly #data = new ReferenceList();
  readonly #calls = new ReferenceList();
  readonly #imports = new ReferenceList();
  readonly #additions: number[] = [];
  readonly #threadLocal: number[] = [];

  /** `fixed`: the program is loaded where it says, so that its code may have addresses as immediates. */
  constructor(image: DataImage, functions: FunctionRanges, fixed: boolean) {
    this.#image = image;
    this.#starts = new Set(functions.starts);
    this.#fixed = fixed;
  }

  /** `bytes` lie at `svma`; places before `svma + from` were seen in the window before. */
  scan(bytes: Buffer, svma: number, from: number): void {
    const end = bytes.length - 6;
    for (let at = Math.max(2, from); at < end; at++) {
      switch (KINDS[bytes[at] ?? 0]) {
        case RELATIVE:
          this.#relative(bytes, svma, at);
          break;
        case BRANCH:
          this.#branch(svma + at, svma + at + 5 + bytes.readInt32LE(at + 1));
          break;
        case ADDITION:
          if (bytes[at - 1] === 0x0f) this.#addition(bytes, svma, at);
          break;
        case THREAD_LOCAL:
          if (isOperation(bytes[at + 1] ?? 0)) this.#threadLocal.push(svma + at);
          break;
        case IMMEDIATE:
          if (this.#fixed) this.#immediate(svma + at, bytes.readUInt32LE(at + 1));
      }
    }
  }

  /** ModRM at `at`: no base register, 32-bit displacement from the next instruction. */
  #relative(bytes: Buffer, svma: number, at: number): void {
    const target = svma + at + 5 + bytes.readInt32LE(at + 1);
    const opcode = bytes[at - 1];
    if (opcode === 0xff) this.#indirect(svma + at, bytes[at] ?? 0, target);
    else if ((opcode === 0x8d || opcode === 0x8b) && this.#isReferred(target))
      this.#data.push(svma + at, target);
  }

  #isReferred(target: number): boolean {
    return this.#image.has(target) || this.#starts.has(target);
  }

  /** FF /2 call, FF /4 jmp. */
  #indirect(place: number, modrm: number, slot: number): void {
    if (modrm !== 0x15 && modrm !== 0x25) return;
    const target = this.#image.u64(slot);
    if (this.#image.imports.has(slot)) this.#imports.push(place, slot);
    else if (target !== undefined && this.#starts.has(target)) this.#calls.push(place, target);
  }

  #branch(place: number, target: number): void {
    if (this.#starts.has(target)) this.#calls.push(place, target);
  }

  #immediate(place: number, target: number): void {
    if (target > 0x1000 && this.#image.has(target)) this.#data.push(place, target);
  }

  #addition(bytes: Buffer, svma: number, at: number): void {
    const rex = bytes[at - 2] ?? 0;
    if ((rex & 0xf8) === 0x48 && bytes[at - 3] === 0xf0) this.#additions.push(svma + at - 3);
  }

  index(): CodeIndex {
    return {
      data: this.#data.references(),
      calls: this.#calls.references(),
      imports: this.#imports.references(),
      additions: this.#additions,
      threadLocal: this.#threadLocal,
    };
  }
}

/** What follows the prefix: another one (66, REX), or an opcode with a memory operand (0F …, 80, 83, 88 … 8B, C6, C7). */
const OPERATIONS = new Set([0x0f, 0x66, 0x80, 0x83, 0x88, 0x89, 0x8a, 0x8b, 0xc6, 0xc7]);
const isOperation = (byte: number): boolean => (byte & 0xf0) === 0x40 || OPERATIONS.has(byte);

class ReferenceList {
  #places = new Float64Array(1 << 12);
  #targets = new Float64Array(1 << 12);
  #size = 0;

  push(place: number, target: number): void {
    if (this.#size >= MAX_REFERENCES) return;
    if (this.#size === this.#places.length) this.#grow();
    this.#places[this.#size] = place;
    this.#targets[this.#size] = target;
    this.#size++;
  }

  references(): References {
    return { places: this.#places.slice(0, this.#size), targets: this.#targets.slice(0, this.#size) };
  }

  #grow(): void {
    const [places, targets] = [this.#places, this.#targets];
    this.#places = new Float64Array(places.length * 2);
    this.#targets = new Float64Array(places.length * 2);
    this.#places.set(places);
    this.#targets.set(targets);
  }
}
