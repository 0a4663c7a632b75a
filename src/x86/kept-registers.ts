import { iced } from './iced.ts';

/** Whether a function must leave the register as it found it (System V ABI, figure 3.4), by iced's number. */
export function isKept(register: number): boolean {
  const { Register } = iced();
  switch (register) {
    case Register.RBX:
    case Register.RBP:
    case Register.R12:
    case Register.R13:
    case Register.R14:
    case Register.R15:
      return true;
    default:
      return false;
  }
}
