import type { RunFlags } from './args.ts';
import { findCommand } from './find-command.ts';
import { readVersions } from './version.ts';

/** The program behind `--`: the file to execute and the words it gets as argv. */
export interface StartCommand {
  readonly file: string;
  readonly argv: readonly string[];
}

export async function run(flags: RunFlags): Promise<number> {
  const command = startCommand(flags.command);
  const { readConfig } = await import('../config.ts');
  const { config, warnings } = readConfig(process.env, flags);
  for (const warning of warnings) process.stderr.write(`otel-rust-agent: ${warning}\n`);
  const { runAgent } = await import('../agent.ts');
  return runAgent({ config, command, versions: readVersions() });
}

function startCommand(argv: readonly string[]): StartCommand | undefined {
  const name = argv[0];
  if (name === undefined) return undefined;
  return { file: findCommand(name, process.env.PATH, process.cwd()), argv };
}
