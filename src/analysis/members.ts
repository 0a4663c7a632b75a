import { messageOf } from '../base/errors.ts';
import { type Dwarf, openDwarf } from '../dwarf/dwarf.ts';
import { PartFinder } from '../dwarf/parts.ts';
import { findTypes } from '../dwarf/types.ts';
import type { ElfFile } from '../elf/elf.ts';
import type { MemberFact, MemberQuery } from './facts.ts';

type Pause = () => Promise<void>;

/** Answers by id, from the first of the files that has DWARF with the type. What isn't there has no answer. */
export async function collectMembers(
  files: readonly ElfFile[],
  queries: readonly MemberQuery[],
  problems: string[],
  pause: Pause,
): Promise<Readonly<Record<string, MemberFact>>> {
  const answers: Record<string, MemberFact> = {};
  for (const elf of queries.length === 0 ? [] : files) {
    const open = queries.filter(({ id }) => answers[id] === undefined);
    try {
      const dwarf = openDwarf(elf);
      if (dwarf) Object.assign(answers, await membersIn(dwarf, open, pause));
    } catch (error) {
      problems.push(`Types of ${elf.name} not used. ${messageOf(error)}`);
    }
  }
  return answers;
}

async function membersIn(
  dwarf: Dwarf,
  queries: readonly MemberQuery[],
  pause: Pause,
): Promise<Readonly<Record<string, MemberFact>>> {
  const names = [...new Set(queries.flatMap(({ types }) => types))];
  const types = await findTypes(dwarf, names, pause);
  const finder = new PartFinder(dwarf, pause);
  const answers: Record<string, MemberFact> = {};
  for (const { id, types: wanted, path } of queries) {
    const name = wanted.find((one) => types.has(one));
    const found = name === undefined ? undefined : types.get(name);
    const part = found && (await finder.follow(found, path));
    if (name === undefined || !found || !part) continue;
    const [size, typeSize] = [part.type.size, found.type.size];
    if (size !== undefined && typeSize !== undefined)
      answers[id] = { type: name, typeSize, offset: part.offset, size };
  }
  return answers;
}
