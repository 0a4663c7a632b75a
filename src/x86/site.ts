import { type ArgumentRegister, type Code, FunctionDecoder } from './instruction.ts';
import { prologuePush } from './prologue.ts';
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

interface Candidate {
  readonly offset: number;
  readonly emulated: boolean;
  readonly push: boolean;
}

/**
 * The cheapest instruction of the function's first block that runs exactly once a call and finds `live` as the
 * caller set them: an emulated one if there is any, else the first one that can be probed.
 *
 * `code` starts at the function's entry. `functionSize` 0 means unknown. A push at the entry is taken without
 * looking for jumps to it: in a loop it would grow the stack. Where jumps back into the first block
 * can't be ruled out (size unknown, code cut, indirect jumps), only the entry and `push` count:
 * a function may fall from its entry into a loop, but a prologue is never inside one.
 */
export function chooseSite(
  code: Code,
  functionSize: number,
  live: readonly ArgumentRegister[],
): Site | NoSite {
  const known = functionSize > 0 && code.bytes.length >= functionSize;
  const body = known ? { svma: code.svma, bytes: code.bytes.subarray(0, functionSize) } : code;
  const entry = prologuePush(body.bytes);
  if (entry) return { ...entry, cost: 'emulated' };
  const { candidates, reason } = firstBlock(body, live);
  const jumps = scanJumps(body);
  const whole = known && !jumps.unknown;
  const once = candidates.filter(
    ({ offset, push }) => offset < jumps.firstTarget && (whole || offset === 0 || push),
  );
  const best = once.find(({ emulated }) => emulated) ?? once[0];
  if (best) return describe(body, best);
  return { reason: candidates.length > 0 ? 'its first block is the head of a loop' : reason };
}

function describe(body: Code, { offset, emulated }: Candidate): Site {
  using decoder = new FunctionDecoder(body);
  while ((decoder.next()?.offset ?? offset) < offset);
  return { offset, instruction: decoder.text(), cost: emulated ? 'emulated' : 'single-stepped' };
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
    const [emulated, push] = [isEmulated(one.bytes), isPushRegister(one.bytes)];
    if (decoder.probeable(one.bytes)) candidates.push({ offset: one.offset, emulated, push });
    if (one.flow !== 'straight' || decoder.writes().some((register) => live.includes(register))) break;
  }
  return { candidates, reason: 'no instruction of its first block can be probed' };
}

/** The lowest target of the function's direct jumps; `unknown` when it has jumps that the code doesn't tell. */
function scanJumps(body: Code): { readonly firstTarget: number; readonly unknown: boolean } {
  using decoder = new FunctionDecoder(body);
  let firstTarget = Number.POSITIVE_INFINITY;
  let unknown = false;
  for (let jump = decoder.nextJump(); jump; jump = decoder.nextJump()) {
    if (jump.target === undefined) unknown = true;
    else if (jump.target >= 0) firstTarget = Math.min(firstTarget, jump.target);
  }
  return { firstTarget, unknown };
}
