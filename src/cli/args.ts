import { parseArgs as parseNodeArgs } from 'node:util';
import { messageOf, UserError } from '../base/errors.ts';
import type { Flags } from '../config.ts';
import {
  COMMANDS,
  type CommandName,
  isCommandName,
  type OptionTable,
  STATUS_MODES,
  type StatusMode,
} from './options.ts';

/** Options of `run`: those of the configuration, which checks them, and those of the command line alone. */
export interface RunFlags extends Flags {
  readonly status: StatusMode;
  /** Stop by itself after this time. */
  readonly durationSeconds: number | undefined;
  /** Words behind `--`; empty when no program is to be started. */
  readonly command: readonly string[];
}

export type Command =
  | { readonly kind: 'run'; readonly flags: RunFlags }
  | { readonly kind: 'inspect' | 'plan'; readonly file: string; readonly json: boolean }
  | { readonly kind: 'doctor'; readonly json: boolean }
  | { readonly kind: 'help'; readonly topic: CommandName | undefined }
  | { readonly kind: 'version' };

type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

/** Throws UserError for whatever it does not understand. */
export function parseArguments(argv: readonly string[]): Command {
  const separator = argv.indexOf('--');
  const own = separator < 0 ? argv : argv.slice(0, separator);
  const rest = separator < 0 ? undefined : argv.slice(separator + 1);
  const first = own[0];
  if (first === '--version' || first === '-V') return { kind: 'version' };
  if (first === '--help' || first === '-h') return { kind: 'help', topic: undefined };
  if (first === 'help') return { kind: 'help', topic: helpTopic(own[1]) };
  if (first === undefined || first.startsWith('-')) return parseCommand('run', own, rest);
  if (!isCommandName(first)) {
    throw new UserError(`Unknown command '${first}': expected ${Object.keys(COMMANDS).join(', ')}`);
  }
  return parseCommand(first, own.slice(1), rest);
}

function helpTopic(word: string | undefined): CommandName | undefined {
  if (word === undefined || isCommandName(word)) return word;
  throw new UserError(`No help for '${word}': expected ${Object.keys(COMMANDS).join(', ')}`);
}

function parseCommand(
  name: CommandName,
  words: readonly string[],
  rest: readonly string[] | undefined,
): Command {
  const table: OptionTable = COMMANDS[name].options;
  const { values, positionals } = parseWords(name, table, words);
  if (values.help) return { kind: 'help', topic: name };
  checkNoneEmpty(values);
  if (name === 'run') {
    const extra = positionals[0];
    if (extra !== undefined) {
      throw new UserError(`Unexpected argument '${extra}': a program to start goes behind --`);
    }
    if (rest?.length === 0) throw new UserError('No command behind --');
    return { kind: 'run', flags: runFlags(values, rest ?? []) };
  }
  const json = values.json === true;
  const files = [...positionals, ...(rest ?? [])];
  if (name === 'doctor') {
    if (files[0] !== undefined) throw new UserError(`Unexpected argument '${files[0]}': doctor takes none`);
    return { kind: 'doctor', json };
  }
  return { kind: name, file: oneFile(name, files), json };
}

function oneFile(name: CommandName, files: readonly string[]): string {
  const [file, extra] = files;
  if (!file) throw new UserError(`No file given: otel-rust-agent ${name} <file>`);
  if (extra !== undefined) throw new UserError(`Unexpected argument '${extra}': ${name} takes one file`);
  return file;
}

function parseWords(name: CommandName, table: OptionTable, words: readonly string[]) {
  const options: Record<string, { type: 'string' | 'boolean'; multiple?: boolean; short?: string }> = {};
  for (const [option, spec] of Object.entries(table)) {
    options[option] = { type: spec.value ? 'string' : 'boolean', multiple: spec.repeatable ?? false };
  }
  options.help = { type: 'boolean', short: 'h' };
  try {
    const parsed = parseNodeArgs({ args: [...words], options, allowPositionals: true, strict: true });
    return { values: parsed.values as Values, positionals: parsed.positionals };
  } catch (error) {
    throw new UserError(`${firstSentence(messageOf(error))} (see otel-rust-agent ${name} --help)`);
  }
}

/** Node's messages go on with advice over several lines. */
function firstSentence(message: string): string {
  return (message.split('\n')[0] ?? message).split('. ')[0]?.replace(/\.$/, '') ?? message;
}

function checkNoneEmpty(values: Values): void {
  for (const [option, value] of Object.entries(values)) {
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (list.includes('')) throw new UserError(`Empty value for --${option}`);
  }
}

function runFlags(values: Values, command: readonly string[]): RunFlags {
  const text = (name: string) => values[name] as string | undefined;
  const list = (name: string) => (values[name] ?? []) as readonly string[];
  return {
    exe: list('exe'),
    pid: list('pid'),
    tier: text('tier'),
    traceInstrumented: values['trace-instrumented'] as true | undefined,
    injectTls: values['inject-tls'] as true | undefined,
    exporter: text('exporter'),
    endpoint: text('endpoint'),
    protocol: text('protocol'),
    headers: text('headers'),
    serviceName: text('service-name'),
    sampler: text('sampler'),
    samplerArg: text('sampler-arg'),
    logLevel: text('log-level'),
    consoleFormat: text('console-format'),
    status: parseStatus(text('status')),
    durationSeconds: parseDuration(text('duration')),
    command,
  };
}

function parseStatus(text: string | undefined): StatusMode {
  const mode = STATUS_MODES.find((known) => known === (text ?? 'auto'));
  if (!mode) throw new UserError(`Invalid --status '${text}': expected ${STATUS_MODES.join(', ')}`);
  return mode;
}

/** Seconds; the largest delay a Node timer takes is 2^31 - 1 ms. */
function parseDuration(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const seconds = /^[0-9]*\.?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds > 0 && seconds <= 2_147_483)) {
    throw new UserError(`Invalid --duration '${text}': expected seconds, more than 0 and at most 2147483`);
  }
  return seconds;
}
