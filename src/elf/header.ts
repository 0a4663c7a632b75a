import { UserError } from '../base/errors.ts';
import { Reader } from '../base/reader.ts';
import {
  ELFCLASS32,
  ELFCLASS64,
  ELFDATA2LSB,
  ELFDATA2MSB,
  ET_CORE,
  ET_DYN,
  ET_EXEC,
  ET_REL,
} from './constants.ts';
import { machineName } from './machine.ts';
import type { ByteSource } from './source.ts';

/** Elf64_Ehdr, as written: counts may still be the escape values PN_XNUM and SHN_XINDEX. */
export interface ElfHeader {
  readonly type: number;
  readonly machine: number;
  readonly entry: number;
  readonly programHeaderOffset: number;
  readonly programHeaderSize: number;
  readonly programHeaderCount: number;
  readonly sectionHeaderOffset: number;
  readonly sectionHeaderSize: number;
  readonly sectionHeaderCount: number;
  readonly sectionNameIndex: number;
}

export const EHDR_SIZE = 64;
const MAGIC = Buffer.from('\x7fELF', 'latin1');

/** The header of a 64-bit little-endian ELF file for `machine`, or a UserError that says what the file is instead. */
export function readHeader(source: ByteSource, name: string, machine: number): ElfHeader {
  const bytes = source.read(0, Math.min(source.size, EHDR_SIZE), 'ELF header');
  checkIdentification(bytes, name);
  if (bytes.length < EHDR_SIZE) {
    throw new UserError(
      `${name} is truncated: the ELF header takes ${EHDR_SIZE} bytes, the file has ${bytes.length}`,
    );
  }
  const header = parseHeader(new Reader(bytes));
  if (header.machine !== machine) {
    throw new UserError(
      `${name} is a program for ${machineName(header.machine)}, not for ${machineName(machine)}`,
    );
  }
  return header;
}

function checkIdentification(bytes: Buffer, name: string): void {
  if (bytes.length === 0) throw new UserError(`${name} is not an ELF file: it is empty`);
  if (!bytes.subarray(0, 4).equals(MAGIC)) {
    const found = bytes
      .subarray(0, 4)
      .toString('hex')
      .replace(/..(?=.)/g, '$& ');
    throw new UserError(`${name} is not an ELF file: it begins with ${found}${scriptHint(bytes)}`);
  }
  if (bytes.length < EHDR_SIZE && bytes.length < 20) {
    throw new UserError(
      `${name} is truncated: the ELF header takes ${EHDR_SIZE} bytes, the file has ${bytes.length}`,
    );
  }
  const elfClass = bytes[4];
  const data = bytes[5];
  const order = data === ELFDATA2MSB ? 'BE' : 'LE';
  const machine = order === 'BE' ? bytes.readUInt16BE(18) : bytes.readUInt16LE(18);
  if (elfClass === ELFCLASS32)
    throw new UserError(
      `${name} is a 32-bit ELF file (${machineName(machine)}); only 64-bit ones are supported`,
    );
  if (elfClass !== ELFCLASS64) throw new UserError(`${name} has an invalid ELF class ${elfClass}`);
  if (order === 'BE')
    throw new UserError(
      `${name} is a big-endian ELF file (${machineName(machine)}); only little-endian ones are supported`,
    );
  if (data !== ELFDATA2LSB) throw new UserError(`${name} has an invalid ELF byte order ${data}`);
}

function scriptHint(bytes: Buffer): string {
  return bytes[0] === 0x23 && bytes[1] === 0x21 ? ' (a script; name its interpreter instead)' : '';
}

function parseHeader(reader: Reader): ElfHeader {
  reader.skip(16, 'e_ident');
  const type = reader.u16('e_type');
  const machine = reader.u16('e_machine');
  reader.skip(4, 'e_version');
  const entry = reader.u64Big('e_entry');
  const programHeaderOffset = reader.u64('e_phoff');
  const sectionHeaderOffset = reader.u64('e_shoff');
  reader.skip(6, 'e_flags and e_ehsize');
  return {
    type,
    machine,
    entry: Number(entry),
    programHeaderOffset,
    sectionHeaderOffset,
    programHeaderSize: reader.u16('e_phentsize'),
    programHeaderCount: reader.u16('e_phnum'),
    sectionHeaderSize: reader.u16('e_shentsize'),
    sectionHeaderCount: reader.u16('e_shnum'),
    sectionNameIndex: reader.u16('e_shstrndx'),
  };
}

export function elfTypeName(type: number): string {
  const names: Readonly<Record<number, string>> = {
    [ET_REL]: 'relocatable object',
    [ET_EXEC]: 'executable',
    [ET_DYN]: 'shared object or PIE',
    [ET_CORE]: 'core dump',
  };
  return names[type] ?? `ELF type ${type}`;
}
