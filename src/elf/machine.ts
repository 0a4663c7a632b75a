/** e_machine values a user may meet, by their everyday names. */
const MACHINES: ReadonlyMap<number, string> = new Map([
  [2, 'SPARC'],
  [3, 'x86 (i386)'],
  [8, 'MIPS'],
  [20, 'PowerPC'],
  [21, 'PowerPC 64'],
  [22, 'IBM Z (s390x)'],
  [40, 'ARM'],
  [43, 'SPARC 64'],
  [50, 'IA-64'],
  [62, 'x86-64'],
  [94, 'Xtensa'],
  [183, 'AArch64'],
  [243, 'RISC-V'],
  [247, 'BPF'],
  [258, 'LoongArch'],
]);

export function machineName(machine: number): string {
  return MACHINES.get(machine) ?? `machine ${machine}`;
}
