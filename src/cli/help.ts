import { COMMANDS, type CommandName, type OptionTable } from './options.ts';

const WIDTH = 100;
const EXIT_CODES = [
  'Exit codes: 0 done or stopped by a signal, 1 unexpected error (doctor: tracing cannot work),',
  '2 bad input or a missing privilege. With -- <command>: the exit code of the command when it ends.',
];

/** The text of `--help`, for the program or for one command; ends with a newline. */
export function helpText(topic: CommandName | undefined): string {
  return `${(topic === undefined ? overview() : commandHelp(topic)).join('\n')}\n`;
}

function overview(): string[] {
  const commands = Object.entries(COMMANDS).map(([name, c]) => `  ${name.padEnd(9)}${c.summary}`);
  return [
    'Zero-code OpenTelemetry traces for Rust programs.',
    '',
    'Usage: otel-rust-agent [command] [options]',
    '',
    ...commands,
    '',
    '  --help     this text; after a command: its options',
    '  --version  version of the agent',
    '',
    'Examples:',
    '  otel-rust-agent --exe /usr/local/bin/shop',
    "  otel-rust-agent --exe '/srv/**/bin/*' --endpoint http://collector:4318",
    '  otel-rust-agent --exporter console -- ./target/release/shop --port 8080',
    '  otel-rust-agent plan ./target/release/shop',
    '',
    ...EXIT_CODES,
  ];
}

function commandHelp(name: CommandName): string[] {
  const command = COMMANDS[name];
  const lines = [`Usage: otel-rust-agent ${command.usage}`, '', upperFirst(`${command.summary}.`), ''];
  return [...lines, ...optionLines(command.options), '', ...EXIT_CODES];
}

function optionLines(table: OptionTable): string[] {
  const entries = Object.entries(table).map(([name, spec]) => {
    const left = spec.value ? `--${name} <${spec.value}>` : `--${name}`;
    const notes = [spec.repeatable ? 'repeatable' : '', spec.environment ?? ''].filter(Boolean).join('; ');
    return { left, text: notes ? `${spec.help} (${notes})` : spec.help };
  });
  const column = Math.max(...entries.map((entry) => entry.left.length)) + 4;
  return entries.flatMap(({ left, text }) => {
    const [first = '', ...more] = wrap(text, WIDTH - column);
    return [`  ${left}`.padEnd(column) + first, ...more.map((line) => ' '.repeat(column) + line)];
  });
}

/** Greedy; a word longer than `width` gets a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line ? `${line} ${word}` : word;
  }
  return [...lines, line];
}

const upperFirst = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);
