/** One command-line option: what parses it and what `--help` says about it. */
export interface OptionSpec {
  /** Placeholder of the value in the help text; undefined for a switch. */
  readonly value?: string;
  readonly repeatable?: boolean;
  readonly help: string;
  /** The variable this option beats. */
  readonly environment?: string;
}

export type OptionTable = Readonly<Record<string, OptionSpec>>;

export const STATUS_MODES = ['on', 'off', 'auto'] as const;
export type StatusMode = (typeof STATUS_MODES)[number];

const HELP: OptionTable = { help: { help: 'show this text' } };
const JSON_OUTPUT: OptionTable = { json: { help: 'print JSON instead of text' } };

const RUN: OptionTable = {
  exe: {
    value: 'path|glob',
    repeatable: true,
    help: 'trace programs whose executable matches; those running and those started later',
    environment: 'OTEL_RUST_AUTO_TARGET_EXE',
  },
  pid: {
    value: 'number',
    repeatable: true,
    help: 'trace this running process',
    environment: 'OTEL_RUST_AUTO_TARGET_PID',
  },
  tier: {
    value: 'auto|socket|library',
    help: 'where requests are observed: system calls, library functions, or the cheaper sure one',
    environment: 'OTEL_RUST_AUTO_TIER',
  },
  'trace-instrumented': {
    help: 'trace programs that export spans with an OpenTelemetry SDK of their own, too',
    environment: 'OTEL_RUST_AUTO_TRACE_INSTRUMENTED',
  },
  'inject-tls': {
    help: 'write trace context into HTTP/1.1 requests under TLS, in the memory of the program (CAP_SYS_ADMIN, no kernel lockdown)',
    environment: 'OTEL_RUST_AUTO_INJECT_TLS',
  },
  exporter: {
    value: 'otlp|console|none',
    help: 'where spans go; a comma-separated list for several',
    environment: 'OTEL_TRACES_EXPORTER',
  },
  endpoint: { value: 'url', help: 'OTLP endpoint', environment: 'OTEL_EXPORTER_OTLP_ENDPOINT' },
  protocol: {
    value: 'name',
    help: 'grpc, http/protobuf or http/json',
    environment: 'OTEL_EXPORTER_OTLP_PROTOCOL',
  },
  headers: {
    value: 'key=value,…',
    help: 'sent with every OTLP request',
    environment: 'OTEL_EXPORTER_OTLP_HEADERS',
  },
  'service-name': {
    value: 'name',
    help: 'service.name of every traced program',
    environment: 'OTEL_SERVICE_NAME',
  },
  sampler: {
    value: 'name',
    help: 'a sampler of the OpenTelemetry specification, e.g. parentbased_traceidratio',
    environment: 'OTEL_TRACES_SAMPLER',
  },
  'sampler-arg': { value: 'ratio', help: 'its argument', environment: 'OTEL_TRACES_SAMPLER_ARG' },
  'console-format': {
    value: 'line|tree',
    help: 'what the console exporter prints: a line a span, or a tree a trace',
    environment: 'OTEL_RUST_AUTO_CONSOLE_FORMAT',
  },
  status: {
    value: 'on|off|auto',
    help: 'status line on stderr: rewritten each second on a terminal, a plain line each 10 s elsewhere',
  },
  'log-level': {
    value: 'level',
    help: 'none, error, warn, info, debug, verbose or all',
    environment: 'OTEL_LOG_LEVEL',
  },
  duration: { value: 'seconds', help: 'stop after this time' },
  ...HELP,
};

/** Commands in the order the help text lists them. */
export const COMMANDS = {
  run: {
    usage: 'run [options] [-- <command> [argument…]]',
    summary: 'trace programs and send their spans (the default command)',
    options: RUN,
  },
  inspect: {
    usage: 'inspect [--json] <file>',
    summary: 'say what an executable is: rustc, crates, symbols, libraries',
    options: { ...JSON_OUTPUT, ...HELP },
  },
  plan: {
    usage: 'plan [--json] <file>',
    summary: 'print every probe site and layout an executable would get, and what is missing',
    options: { ...JSON_OUTPUT, ...HELP },
  },
  doctor: {
    usage: 'doctor [--json]',
    summary: 'check what this machine can trace; exit code 1 when it cannot',
    options: { ...JSON_OUTPUT, ...HELP },
  },
} as const satisfies Readonly<Record<string, { usage: string; summary: string; options: OptionTable }>>;

export type CommandName = keyof typeof COMMANDS;

export function isCommandName(word: string): word is CommandName {
  return Object.hasOwn(COMMANDS, word);
}
