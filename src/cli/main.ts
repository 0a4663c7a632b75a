import { assertUnreachable, messageOf, UserError } from '../base/errors.ts';
import { type Command, parseArguments } from './args.ts';

export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const terminal: Output = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
};

/** Entry point of bin/otel-rust-agent: sets the exit code and lets pending output drain. */
export async function main(argv: readonly string[]): Promise<void> {
  endOnWriteError(process.stdout);
  process.exitCode = await runCommandLine(argv, terminal);
  // Whatever a command left open must not keep the process alive.
  setTimeout(() => process.exit(), 2000).unref();
}

/** Runs one command line and returns its exit code; never throws. */
export async function runCommandLine(argv: readonly string[], output: Output): Promise<number> {
  try {
    return await execute(parseArguments(argv), output);
  } catch (error) {
    return report(error, output, argv);
  }
}

// Commands are imported when needed: `--help` loads none of their libraries.
async function execute(command: Command, output: Output): Promise<number> {
  switch (command.kind) {
    case 'help':
      output.out((await import('./help.ts')).helpText(command.topic));
      return 0;
    case 'version':
      output.out(`otel-rust-agent ${(await import('./version.ts')).readVersions().agent}\n`);
      return 0;
    case 'inspect':
      return (await import('./inspect.ts')).inspect(command.file, { json: command.json }, output.out);
    case 'plan':
      return (await import('./plan.ts')).planCommand(command.file, { json: command.json }, output.out);
    case 'doctor':
      return (await import('./doctor.ts')).doctor({ json: command.json }, output.out);
    case 'run':
      return (await import('./run.ts')).run(command.flags);
    default:
      return assertUnreachable(command);
  }
}

function report(error: unknown, output: Output, argv: readonly string[]): number {
  const message = messageOf(error).trim();
  if (error instanceof UserError) {
    output.err(`otel-rust-agent: ${message}\n`);
    return 2;
  }
  const debug = /\b(debug|verbose|all)\b/;
  const debugFlag = /^(--log-level=)?(debug|verbose|all)$/;
  const verbose = debug.test(process.env.OTEL_LOG_LEVEL ?? '') || argv.some((word) => debugFlag.test(word));
  const stack = verbose && error instanceof Error ? error.stack : undefined;
  output.err(`otel-rust-agent: ${message}\n${stack ?? hint(argv)}\n`);
  return 1;
}

function hint(argv: readonly string[]): string {
  const hasFlag = argv[0] === undefined || argv[0] === 'run' || argv[0].startsWith('-');
  return `Use ${hasFlag ? '--log-level debug' : 'OTEL_LOG_LEVEL=debug'} to see where this came from`;
}

/** `otel-rust-agent plan file | head` is not an error. */
function endOnWriteError(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    process.stderr.write(`otel-rust-agent: Cannot write to stdout: ${error.message}\n`);
    process.exit(1);
  });
}
