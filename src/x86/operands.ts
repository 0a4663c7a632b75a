import type { Instruction as IcedInstruction } from 'iced-x86';

/** Of a memory operand, signed. */
export const displacementOf = ({ memoryDisplacement }: IcedInstruction): number =>
  Number(BigInt.asIntN(64, memoryDisplacement));

/** Of a near branch: the address. */
export const branchTargetOf = ({ nearBranchTarget }: IcedInstruction): number =>
  Number(BigInt.asIntN(64, nearBranchTarget));
