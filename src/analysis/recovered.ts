import { svma } from '../base/address.ts';
import { messageOf } from '../base/errors.ts';
import type { ElfFile } from '../elf/elf.ts';
import type { Program } from '../recover/program.ts';
import { readProgram } from '../recover/read-program.ts';
import type { RecoveredFunction, RecoveredObject, Recovery, ThreadWord } from '../recover/recogniser.ts';
import type { FunctionFact, ObjectFact, RecoveredFacts, SiteFact, SymbolQuery } from './facts.ts';

/** Answers to queries, found without symbols. */
export interface Recovered extends RecoveredFacts {
  readonly functions: Readonly<Record<string, readonly FunctionFact[]>>;
  readonly objects: Readonly<Record<string, readonly ObjectFact[]>>;
}

export const NOT_RECOVERED: Recovered = {
  problem: undefined,
  threadWords: {},
  sites: {},
  missing: {},
  functions: {},
  objects: {},
};

/** Searches a program without symbols for what the queries ask. */
export async function recover(
  elf: ElfFile,
  queries: readonly SymbolQuery[],
  problems: string[],
  pause: () => Promise<void>,
): Promise<Recovered> {
  try {
    const program = await readProgram(elf, pause);
    if ('missing' in program) return { ...NOT_RECOVERED, problem: program.missing };
    return await answer(program, queries, problems, pause);
  } catch (error) {
    const problem = `Code of ${elf.name} not searched. ${messageOf(error)}`;
    problems.push(problem);
    return { ...NOT_RECOVERED, problem };
  }
}

interface Answers {
  readonly functions: Record<string, readonly FunctionFact[]>;
  readonly objects: Record<string, readonly ObjectFact[]>;
  readonly threadWords: Record<string, readonly ThreadWord[]>;
  readonly sites: Record<string, readonly SiteFact[]>;
  readonly missing: Record<string, string>;
}

async function answer(
  program: Program,
  queries: readonly SymbolQuery[],
  problems: string[],
  pause: () => Promise<void>,
): Promise<Recovered> {
  const answers: Answers = { functions: {}, objects: {}, threadWords: {}, sites: {}, missing: {} };
  for (const { id, recovery } of queries) {
    if (!recovery) continue;
    try {
      const missing = find(program, id, recovery, answers);
      if (missing !== undefined) answers.missing[id] = missing;
    } catch (error) {
      answers.missing[id] = messageOf(error);
      problems.push(`Search for ${id} given up. ${messageOf(error)}`);
    }
    await pause();
  }
  return { problem: undefined, ...answers };
}

/** Adds what is found, or returns the reason why nothing is. */
function find(program: Program, id: string, recovery: Recovery, answers: Answers): string | undefined {
  switch (recovery.kind) {
    case 'functions': {
      const answer = recovery.find(program);
      if ('reason' in answer) return answer.reason;
      answers.functions[id] = sorted(answer.found).map(functionFact);
      answers.sites[id] = (answer.sites ?? []).map((site) => ({
        ...site,
        function: functionFact(site.function),
      }));
      return undefined;
    }
    case 'object': {
      const answer = recovery.find(program);
      if ('reason' in answer) return answer.reason;
      answers.objects[id] = sorted(answer.found).map(objectFact);
      return undefined;
    }
    case 'thread-words': {
      const answer = recovery.find(program);
      if ('reason' in answer) return answer.reason;
      answers.threadWords[id] = answer.found;
      return undefined;
    }
  }
}

const sorted = <T extends RecoveredFunction>(found: readonly T[]): readonly T[] =>
  found.toSorted((a, b) => a.svma - b.svma);

const functionFact = ({ name, svma: start, size, evidence }: RecoveredFunction): FunctionFact => ({
  name,
  svma: svma(start),
  size,
  source: 'recovered',
  evidence,
});

const objectFact = ({ name, svma: start, size, pointers, users }: RecoveredObject): ObjectFact => ({
  name,
  svma: svma(start),
  size,
  source: 'recovered',
  pointers: pointers.map(svma),
  users: sorted(users).map(functionFact),
});
