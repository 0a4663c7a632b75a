import type { Brand } from './brand.ts';

/** Byte position in a file. */
export type FileOffset = Brand<number, 'FileOffset'>;
/** Stated virtual memory address: as written in the ELF file, before relocation. */
export type Svma = Brand<number, 'Svma'>;
/** Actual virtual memory address: in a running process. */
export type Avma = Brand<number, 'Avma'>;

export const fileOffset = (value: number): FileOffset => value as FileOffset;
export const svma = (value: number): Svma => value as Svma;
export const avma = (value: number): Avma => value as Avma;
