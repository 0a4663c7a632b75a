import { agentProgram, changedAgentProgram } from './built.ts';
import { Child, type ChildOptions, type Ending } from './child.ts';
import { sharedScratch } from './scratch.ts';

export type Tier = 'auto' | 'socket' | 'library';

/** A running agent that has attached; `stop` asks it to detach and flush. */
export interface Agent extends Disposable {
  readonly child: Child;
  /** Fails unless the agent ends with code 0. */
  stop(): Promise<Ending>;
}

export function agentCommand(args: readonly string[], { env, ...options }: ChildOptions = {}): Child {
  return new Child(process.execPath, [agentProgram, ...args], { env: { ...cacheOf(), ...env }, ...options });
}

/** Where it keeps what it knows of binaries: not among what the machine's own agents know. */
const cacheOf = () => ({ XDG_CACHE_HOME: sharedScratch().file('cache') });

/** What no right probe brings the agent to say. */
const CHECK_FAILED = /switched off|misses some/;

/** `change`: of what it attaches, see wrong-plans.ts. */
export async function startAgent(
  args: readonly string[],
  env: Record<string, string>,
  change?: string,
): Promise<Agent> {
  const child = change
    ? new Child(process.execPath, [changedAgentProgram, change, 'run', ...args], {
        env: { ...cacheOf(), ...env },
      })
    : agentCommand(['run', ...args], { env });
  await child.waitFor('stderr', /\bready\b/);
  return {
    child,
    stop: async () => {
      const ending = await child.stop();
      if (ending.code !== 0 || (!change && CHECK_FAILED.test(child.stderr)))
        throw new Error(`The agent ended with ${JSON.stringify(ending)}: ${child.stderr}`);
      return ending;
    },
    [Symbol.dispose]: () => child[Symbol.dispose](),
  };
}
