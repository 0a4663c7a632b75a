import type { StartCommand } from '../agent/child.ts';
import { UserError } from '../base/errors.ts';
import type { RunFlags } from './args.ts';
import { findCommand } from './find-command.ts';
import { readVersions } from './version.ts';

export async function run(flags: RunFlags): Promise<number> {
  const command = startCommand(flags.command);
  const { readConfig } = await import('../config.ts');
  const { config, warnings } = readConfig(process.env, flags);
  for (const warning of warnings) process.stderr.write(`otel-rust-agent: ${warning}\n`);
  const { exe, pid } = config.targets;
  if (!command && exe.length + pid.length === 0) {
    throw new UserError('Nothing to trace: give --exe, --pid or -- <command>');
  }
  const { runAgent } = await import('../agent.ts');
  const { status, durationSeconds } = flags;
  return runAgent({ config, command, status, durationSeconds, versions: readVersions() });
}

function startCommand(argv: readonly string[]): StartCommand | undefined {
  const name = argv[0];
  if (name === undefined) return undefined;
  return { file: findCommand(name, process.env.PATH, process.cwd()), argv };
}
