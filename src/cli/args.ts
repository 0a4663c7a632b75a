import { parseArgs as parseNodeArgs } from 'node:util';
import { messageOf, UserError } from '../base/errors.ts';
import type { LogLevel } from '../base/log.ts';
import type { Tier } from '../plan/plan.ts';
import { COMMANDS, type CommandName, isCommandName, type OptionTable, type StatusMode } from './options.ts';

/** Options of `run` as given; undefined where the environment or the default decides. */
export interface RunFlags {
  readonly exe: readonly string[];
  readonly pids: readonly number[];
  readonly tier: Tier | undefined;
  /** Comma-separated list as in OTEL_TRACES_EXPORTER. */
  readonly exporter: string | undefined;
  readonly endpoint: string | undefined;
  readonly protocol: 'grpc' | 'http/protobuf' | 'http/json' | undefined;
  readonly serviceName: string | undefined;
  readonly sampler: string | undefined;
  /** What stands behind `=` in `--sampler name=arg`. */
  readonly samplerArg: string | undefined;
  readonly logLevel: LogLevel | undefined;
  readonly status: StatusMode | undefined;
  readonly consoleFormat: 'line' | 'tree' | undefined;
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
  checkChoices(table, values);
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

function checkChoices(table: OptionTable, values: Values): void {
  for (const [option, spec] of Object.entries(table)) {
    const value = values[option];
    if (value === '') throw new UserError(`Empty value for --${option}`);
    if (spec.choices && typeof value === 'string' && !spec.choices.includes(value)) {
      throw new UserError(`Invalid --${option} '${value}': expected ${spec.choices.join(', ')}`);
    }
  }
}

function runFlags(values: Values, command: readonly string[]): RunFlags {
  const text = (name: string) => values[name] as string | undefined;
  const list = (name: string) => (values[name] ?? []) as readonly string[];
  const [sampler, samplerArg] = splitOnce(text('sampler'), '=');
  return {
    exe: list('exe').map(nonEmptyExe),
    pids: list('pid').map(parsePid),
    tier: text('tier') as RunFlags['tier'],
    exporter: checkedExporters(text('exporter')),
    endpoint: text('endpoint'),
    protocol: text('protocol') as RunFlags['protocol'],
    serviceName: text('service-name'),
    sampler,
    samplerArg,
    logLevel: text('log-level') as RunFlags['logLevel'],
    status: text('status') as RunFlags['status'],
    consoleFormat: text('console-format') as RunFlags['consoleFormat'],
    durationSeconds: parseDuration(text('duration')),
    command,
  };
}

function nonEmptyExe(pattern: string): string {
  if (pattern === '') throw new UserError('Empty value for --exe');
  return pattern;
}

/** Linux allows pids up to 2^22. */
export function parsePid(text: string): number {
  const pid = /^[0-9]{1,7}$/.test(text) ? Number(text) : 0;
  if (pid < 1 || pid > 4_194_304) throw new UserError(`Invalid --pid '${text}': expected a process id`);
  return pid;
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

const EXPORTERS = ['otlp', 'console', 'none'];

function checkedExporters(list: string | undefined): string | undefined {
  for (const name of list?.split(',') ?? []) {
    if (!EXPORTERS.includes(name.trim())) {
      throw new UserError(`Invalid --exporter '${name}': expected ${EXPORTERS.join(', ')}`);
    }
  }
  return list;
}

function splitOnce(text: string | undefined, separator: string): [string | undefined, string | undefined] {
  const at = text?.indexOf(separator) ?? -1;
  return text === undefined || at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
