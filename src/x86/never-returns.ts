import { iced } from './iced.ts';
import { type Code, FunctionDecoder } from './instruction.ts';

/** Whether a function has no return and no way out but calls, as those that panic. `code` is a whole function. */
export function neverReturns(code: Code): boolean {
  const { FlowControl } = iced();
  using decoder = new FunctionDecoder(code);
  let calls = false;
  for (let one = decoder.next(); one; one = decoder.next()) {
    if (one.flow === 'invalid' || decoder.current.flowControl === FlowControl.Return) return false;
    const jump = decoder.jump();
    const isInside = jump?.target !== undefined && jump.target >= 0 && jump.target < code.bytes.length;
    if (jump && !isInside) return false;
    calls ||= one.flow === 'call';
  }
  return calls;
}
