import { runAgent } from '../../src/agent.ts';
import { parseArguments } from '../../src/cli/args.ts';
import { readVersions } from '../../src/cli/version.ts';
import { readConfig } from '../../src/config.ts';
import { changeOf } from './wrong-plans.ts';

/** `run` of the agent, with a mistake in what it attaches: `changed-agent.js <change> run …` */
const [change = '', ...argv] = process.argv.slice(2);
const command = parseArguments(argv);
if (command.kind !== 'run') throw new Error(`Cannot change ${command.kind}`);
const { config } = readConfig(process.env, command.flags);
process.exitCode = await runAgent({
  config,
  command: undefined,
  status: 'off',
  durationSeconds: undefined,
  versions: readVersions(),
  changePlan: changeOf(change),
});
