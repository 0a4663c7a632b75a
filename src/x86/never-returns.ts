import type { Instruction as IcedInstruction } from 'iced-x86';
import { iced } from './iced.ts';
import type { Code } from './instruction.ts';
import { branchTargetOf } from './operands.ts';

/** Whether a function has no return and no way out but calls, as those that panic. `code` is a whole function. */
export function neverReturns(code: Code): boolean {
  const { Decoder, DecoderOptions, Instruction, FlowControl } = iced();
  const decoder = new Decoder(64, code.bytes, DecoderOptions.None);
  decoder.ip = BigInt(code.svma);
  const current = new Instruction();
  let calls = false;
  let stays = true;
  while (stays && decoder.canDecode) {
    decoder.decodeOut(current);
    const flow = current.flowControl;
    calls ||= flow === FlowControl.Call || flow === FlowControl.IndirectCall;
    stays = !current.isInvalid && flow !== FlowControl.Return && !leaves(current, code);
  }
  decoder.free();
  current.free();
  return calls && stays;
}

/** A jump to another function, or to where the code does not tell. */
function leaves(current: IcedInstruction, { svma, bytes }: Code): boolean {
  const { FlowControl, OpKind } = iced();
  const flow = current.flowControl;
  if (flow === FlowControl.IndirectBranch || flow === FlowControl.XbeginXabortXend) return true;
  if (flow !== FlowControl.ConditionalBranch && flow !== FlowControl.UnconditionalBranch) return false;
  if (current.op0Kind !== OpKind.NearBranch64) return true;
  const target = branchTargetOf(current) - svma;
  return target < 0 || target >= bytes.length;
}
