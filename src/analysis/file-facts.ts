import { UserError } from '../base/errors.ts';
import { DF_1_PIE, ET_DYN, ET_EXEC, PT_TLS, SHF_EXECINSTR, SHT_NOBITS } from '../elf/constants.ts';
import { type DynamicInfo, readDynamic, readInterpreter } from '../elf/dynamic.ts';
import { type ElfFile, findSection } from '../elf/elf.ts';
import { elfTypeName } from '../elf/header.ts';
import { buildId } from '../elf/notes.ts';
import { isExecutable, loadSegments } from '../elf/segments.ts';
import { isInside } from '../elf/source.ts';
import type { BinaryFacts } from './facts.ts';

/** The facts that headers and segments tell. */
export type FileFacts = Pick<
  BinaryFacts,
  | 'fileSize'
  | 'buildId'
  | 'type'
  | 'linkage'
  | 'interpreter'
  | 'neededLibraries'
  | 'segments'
  | 'tls'
  | 'ehFrame'
>;

export function fileFacts(elf: ElfFile): FileFacts {
  const dynamic = readDynamic(elf);
  const interpreter = readInterpreter(elf);
  const needed = dynamic?.needed ?? [];
  return {
    fileSize: elf.source.size,
    buildId: buildId(elf),
    type: fileType(elf, dynamic, interpreter),
    linkage: interpreter !== undefined || needed.length > 0 ? 'dynamic' : 'static',
    interpreter,
    neededLibraries: needed,
    segments: loadSegments(elf.segments).map((segment) => ({
      fileOffset: segment.fileOffset,
      svma: segment.svma,
      fileSize: segment.fileSize,
      memSize: segment.memSize,
      executable: isExecutable(segment),
    })),
    tls: tlsOf(elf),
    ehFrame: findSection(elf, '.eh_frame') !== undefined,
  };
}

/** A PIE has DF_1_PIE from the linker; older linkers leave only the interpreter as a sign, a static PIE neither. */
function fileType(
  elf: ElfFile,
  dynamic: DynamicInfo | undefined,
  interpreter: string | undefined,
): FileFacts['type'] {
  if (elf.header.type === ET_EXEC) return 'executable';
  const flagged = ((dynamic?.flags1 ?? 0) & DF_1_PIE) !== 0;
  return flagged || (interpreter !== undefined && dynamic?.soname === undefined) ? 'pie' : 'shared-object';
}

function tlsOf(elf: ElfFile): FileFacts['tls'] {
  const segment = elf.segments.find(({ type }) => type === PT_TLS);
  return segment && { svma: segment.svma, memSize: segment.memSize, align: segment.align };
}

/** Refuses what cannot run: relocatable objects, core dumps, separate debug files, cut files. */
export function checkLoadable(elf: ElfFile): void {
  const { type } = elf.header;
  if (type !== ET_EXEC && type !== ET_DYN) {
    throw new UserError(`${elf.name} is not a program or shared object: it is an ELF ${elfTypeName(type)}`);
  }
  if (!hasCode(elf)) throw new UserError(`${elf.name} has no code: it is a separate debug file`);
  const loads = loadSegments(elf.segments);
  if (loads.length === 0) throw new UserError(`${elf.name} cannot be run: it has no PT_LOAD segment`);
  const cut = loads.find((load) => !isInside(load.fileOffset, load.fileSize, elf.source.size));
  if (cut === undefined) return;
  throw new UserError(
    `${elf.name} is truncated: a segment ends at byte ${cut.fileOffset + cut.fileSize}, the file has ${elf.source.size} bytes`,
  );
}

/** `objcopy --only-keep-debug` keeps the headers of code sections and drops their bytes. */
function hasCode({ sections }: ElfFile): boolean {
  const code = sections.filter(({ flags }) => (flags & SHF_EXECINSTR) !== 0);
  return code.length === 0 || code.some(({ type }) => type !== SHT_NOBITS);
}
