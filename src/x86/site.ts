import { type ArgumentRegister, type Code, FunctionDecoder, type Instruction } from './instruction.ts';
import { isEmulated, isPushRegister } from './uprobe.ts';

export interface Site {
  /** Distance from the function's entry, bytes. */
  readonly offset: number;
  /** Disassembly, Intel syntax. */
  readonly instruction: string;
  readonly cost: 'emulated' | 'single-stepped';
}

export interface NoSite {
  readonly reason: string;
}

interface Candidate extends Site {
  readonly push: boolean;
}

/**
 * The cheapest instruction of the function's first block that runs exactly once a call and finds `live` as the
 * caller set them: an emulated one if there is any, else the first one that can be probed.
 *
 * `code` starts at the function's entry. `functionSize` 0 means unknown. Where jumps back into the first
 * block can't be ruled out (size unknown, code cut, indirect jumps), only the entry and `push` count:
 * a function may fall from its entry into a loop, but a prologue is never inside one.
 */
export function chooseSite(
  code: Code,
  functionSize: number,
  live: readonly ArgumentRegister[],
): Site | NoSite {
  const known = functionSize > 0 && code.bytes.length >= functionSize;
  const body = known ? { svma: code.svma, bytes: code.bytes.subarray(0, functionSize) } : code;
  const { candidates, reason } = firstBlock(body, live);
  const jumps = scanJumps(body);
  const whole = known && !jumps.unknown;
  const firstTarget = Math.min(...jumps.targets);
  const once = candidates.filter(
    ({ offset, push }) => offset < firstTarget && (whole || offset === 0 || push),
  );
  const best = once.find(({ cost }) => cost === 'emulated') ?? once[0];
  if (best) return { offset: best.offset, instruction: best.instruction, cost: best.cost };
  return { reason: candidates.length > 0 ? 'its first block is the head of a loop' : reason };
}

function firstBlock(
  body: Code,
  live: readonly ArgumentRegister[],
): { readonly candidates: readonly Candidate[]; readonly reason: string } {
  using decoder = new FunctionDecoder(body);
  const candidates: Candidate[] = [];
  for (let one = decoder.next(); one; one = decoder.next()) {
    if (one.flow === 'invalid')
      return { candidates, reason: `its byte ${one.offset} is not the start of an instruction` };
    if (decoder.probeable(one.bytes)) candidates.push(candidate(one, decoder));
    if (one.flow !== 'straight' || decoder.writes().some((register) => live.includes(register))) break;
  }
  return { candidates, reason: 'no instruction of its first block can be probed' };
}

function candidate(one: Instruction, decoder: FunctionDecoder): Candidate {
  const cost = isEmulated(one.bytes) ? 'emulated' : 'single-stepped';
  return { offset: one.offset, instruction: decoder.text(), cost, push: isPushRegister(one.bytes) };
}

/** Where the function's direct jumps go; `unknown` when it has jumps whose targets aren't in the code. */
function scanJumps(body: Code): { readonly targets: ReadonlySet<number>; readonly unknown: boolean } {
  using decoder = new FunctionDecoder(body);
  const targets = new Set<number>();
  let unknown = false;
  for (let one = decoder.next(); one; one = decoder.next()) {
    if (one.jumpTarget !== undefined && one.jumpTarget >= 0) targets.add(one.jumpTarget);
    if (one.indirectJump || one.flow === 'invalid') unknown = true;
  }
  return { targets, unknown };
}
