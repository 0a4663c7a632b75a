import { LOG_LEVELS, type LogLevel } from './base/log.ts';
import { RPC_OPT_INS, type RpcOptIn } from './base/rpc-keys.ts';
import { type OtlpFlags, readOtlp } from './config/otlp.ts';
import {
  boolean,
  choice,
  integer,
  keyValueList,
  list,
  lowerCaseList,
  milliseconds,
  pidList,
} from './config/parse.ts';
import { readSampler, type Sampler } from './config/sampler.ts';
import { type Env, type Setting, SettingReader } from './config/source.ts';
import {
  type BatchSettings,
  CONSOLE_FORMATS,
  EXPORTERS,
  type ExporterName,
  type ExportSettings,
  type SpanLimits,
} from './export/settings.ts';
import { TIERS, type Tier } from './plan/plan.ts';

/** Everything a user can set. Variables are listed in docs/configuration.md. */
export interface Config extends ExportSettings {
  /** OTEL_SDK_DISABLED: nothing is attached and nothing sent. */
  readonly disabled: boolean;
  readonly logLevel: LogLevel;
  /** For every traced process; undefined: each process gets its executable's name. */
  readonly serviceName: string | undefined;
  readonly resourceAttributes: Readonly<Record<string, string>>;
  readonly sampler: Sampler;
  readonly propagators: readonly Propagator[];
  readonly captureHeaders: CaptureHeaders;
  /** Replaces the known HTTP methods when set. */
  readonly knownMethods: readonly string[] | undefined;
  /** OTEL_SEMCONV_STABILITY_OPT_IN, of remote procedure calls. */
  readonly rpcOptIn: RpcOptIn | undefined;
  readonly targets: Targets;
  readonly tier: Tier;
  /** Programs that export spans of their own are traced, too. */
  readonly traceInstrumented: boolean;
  /** Trace context is written into requests under TLS, in the programs' memory. */
  readonly injectTls: boolean;
}

export const PROPAGATORS = ['tracecontext', 'baggage', 'b3', 'b3multi'] as const;
export type Propagator = (typeof PROPAGATORS)[number];

/** Lower-case header names. */
export interface CaptureHeaders {
  readonly serverRequest: readonly string[];
  readonly serverResponse: readonly string[];
  readonly clientRequest: readonly string[];
  readonly clientResponse: readonly string[];
  readonly grpcServerRequest: readonly string[];
  readonly grpcClientRequest: readonly string[];
}

export interface Targets {
  /** Paths or globs. */
  readonly exe: readonly string[];
  readonly pid: readonly number[];
}

/** What the command line gave, unparsed. A flag beats its variable, and a bad one is an error. */
export interface Flags {
  readonly exe?: readonly string[] | undefined;
  readonly pid?: readonly string[] | undefined;
  readonly tier?: string | undefined;
  readonly traceInstrumented?: boolean | undefined;
  readonly injectTls?: boolean | undefined;
  readonly endpoint?: string | undefined;
  readonly protocol?: string | undefined;
  readonly headers?: string | undefined;
  /** Comma list, as OTEL_TRACES_EXPORTER. */
  readonly exporter?: string | undefined;
  readonly consoleFormat?: string | undefined;
  readonly serviceName?: string | undefined;
  readonly sampler?: string | undefined;
  readonly samplerArg?: string | undefined;
  readonly logLevel?: string | undefined;
}

export interface ReadConfig {
  readonly config: Config;
  /** One line each, for stderr. */
  readonly warnings: readonly string[];
}

/** Pure. Throws `UserError` for a flag that can't be used. */
export function readConfig(env: Env, flags: Flags = {}): ReadConfig {
  const reader = new SettingReader(env);
  const config: Config = {
    disabled: reader.read(reader.first(undefined, 'OTEL_SDK_DISABLED'), false, boolean),
    logLevel: reader.read(
      reader.first(flag('--log-level', flags.logLevel), 'OTEL_LOG_LEVEL'),
      'info',
      choice(LOG_LEVELS),
    ),
    ...readService(reader, flag('--service-name', flags.serviceName)),
    exporters: readExporters(reader, flag('--exporter', flags.exporter)),
    consoleFormat: reader.read(
      reader.first(flag('--console-format', flags.consoleFormat), 'OTEL_RUST_AUTO_CONSOLE_FORMAT'),
      'line',
      choice(CONSOLE_FORMATS),
    ),
    otlp: readOtlp(reader, otlpFlags(flags)),
    batch: readBatch(reader),
    limits: readLimits(reader),
    sampler: readSampler(reader, flag('--sampler', flags.sampler), flag('--sampler-arg', flags.samplerArg)),
    propagators: readPropagators(reader),
    captureHeaders: readCaptureHeaders(reader),
    knownMethods: reader.read(
      reader.first(undefined, 'OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS'),
      undefined,
      list,
    ),
    rpcOptIn: reader.read(reader.first(undefined, 'OTEL_SEMCONV_STABILITY_OPT_IN'), undefined, rpcOptIn),
    targets: readTargets(reader, flags),
    tier: reader.read(reader.first(flag('--tier', flags.tier), 'OTEL_RUST_AUTO_TIER'), 'auto', choice(TIERS)),
    traceInstrumented:
      flags.traceInstrumented === true ||
      reader.read(reader.first(undefined, 'OTEL_RUST_AUTO_TRACE_INSTRUMENTED'), false, boolean),
    injectTls:
      flags.injectTls === true ||
      reader.read(reader.first(undefined, 'OTEL_RUST_AUTO_INJECT_TLS'), false, boolean),
  };
  return { config, warnings: reader.warnings };
}

function flag(name: string, value: string | undefined): Setting | undefined {
  return value === undefined ? undefined : { name, value };
}

function otlpFlags(flags: Flags): OtlpFlags {
  return {
    endpoint: flag('--endpoint', flags.endpoint),
    protocol: flag('--protocol', flags.protocol),
    headers: flag('--headers', flags.headers),
  };
}

/** OTEL_SERVICE_NAME beats `service.name` in OTEL_RESOURCE_ATTRIBUTES. */
function readService(reader: SettingReader, nameFlag: Setting | undefined) {
  const { 'service.name': listedName, ...resourceAttributes } = reader.read(
    reader.first(undefined, 'OTEL_RESOURCE_ATTRIBUTES'),
    {},
    keyValueList,
  );
  const serviceName = reader.first(nameFlag, 'OTEL_SERVICE_NAME')?.value ?? (listedName || undefined);
  return { serviceName, resourceAttributes };
}

/** The known items of a comma list; the others are warned about. `none` alone means the empty list. */
function readNames<T extends string>(
  reader: SettingReader,
  setting: Setting | undefined,
  allowed: readonly T[],
  fallback: readonly T[],
): readonly T[] {
  if (setting === undefined) return fallback;
  const items = lowerCaseList(setting.value);
  const known = allowed.filter((name) => items.includes(name));
  const unknown = items.filter((item) => item !== 'none' && !(allowed as readonly string[]).includes(item));
  for (const value of unknown) {
    reader.reject({ name: setting.name, value }, `expected ${allowed.join(', ')} or none`);
  }
  if (!items.includes('none')) return known.length > 0 ? known : fallback;
  if (items.length > 1) reader.reject(setting, "none can't stand beside others; taken as none");
  return [];
}

function readExporters(reader: SettingReader, exporter: Setting | undefined): readonly ExporterName[] {
  return readNames(reader, reader.first(exporter, 'OTEL_TRACES_EXPORTER'), EXPORTERS, ['otlp']);
}

function readPropagators(reader: SettingReader): readonly Propagator[] {
  const setting = reader.first(undefined, 'OTEL_PROPAGATORS');
  return readNames(reader, setting, PROPAGATORS, ['tracecontext', 'baggage']);
}

/**
 * The specification's queue (2,048 spans) and batch (512) hold 20 ms and 5 ms of 100,000 spans/s, less than
 * one round trip to many collectors; these hold 0.6 s and 80 ms.
 */
const DEFAULT_QUEUE = 65_536;
const DEFAULT_BATCH = 8_192;

function readBatch(reader: SettingReader): BatchSettings {
  const option = (name: string) => reader.first(undefined, `OTEL_BSP_${name}`);
  const batchSetting = option('MAX_EXPORT_BATCH_SIZE');
  const maxQueueSize = reader.read(option('MAX_QUEUE_SIZE'), DEFAULT_QUEUE, integer(1));
  const batchSize = reader.read(batchSetting, Math.min(DEFAULT_BATCH, maxQueueSize), integer(1));
  if (batchSetting && batchSize > maxQueueSize) {
    reader.reject(batchSetting, `larger than the queue; ${maxQueueSize} is used`);
  }
  return {
    scheduleDelayMs: reader.read(option('SCHEDULE_DELAY'), 5_000, milliseconds(0)),
    exportTimeoutMs: reader.read(option('EXPORT_TIMEOUT'), 30_000, milliseconds(1)),
    maxQueueSize,
    maxExportBatchSize: Math.min(batchSize, maxQueueSize),
  };
}

function readLimits(reader: SettingReader): SpanLimits {
  const limit = (fallback: number, ...names: readonly string[]) =>
    reader.read(reader.first(undefined, ...names), fallback, integer(0));
  return {
    attributeCount: limit(128, 'OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT', 'OTEL_ATTRIBUTE_COUNT_LIMIT'),
    attributesPerEvent: limit(128, 'OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT', 'OTEL_ATTRIBUTE_COUNT_LIMIT'),
    eventCount: limit(128, 'OTEL_SPAN_EVENT_COUNT_LIMIT'),
    attributeValueLength: limit(
      Number.POSITIVE_INFINITY,
      'OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT',
      'OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT',
    ),
  };
}

function readCaptureHeaders(reader: SettingReader): CaptureHeaders {
  const names = (name: string) =>
    reader.read(reader.first(undefined, `OTEL_INSTRUMENTATION_${name}`), [], lowerCaseList);
  return {
    serverRequest: names('HTTP_SERVER_CAPTURE_REQUEST_HEADERS'),
    serverResponse: names('HTTP_SERVER_CAPTURE_RESPONSE_HEADERS'),
    clientRequest: names('HTTP_CLIENT_CAPTURE_REQUEST_HEADERS'),
    clientResponse: names('HTTP_CLIENT_CAPTURE_RESPONSE_HEADERS'),
    grpcServerRequest: names('GRPC_CAPTURE_METADATA_SERVER_REQUEST'),
    grpcClientRequest: names('GRPC_CAPTURE_METADATA_CLIENT_REQUEST'),
  };
}

/** The list also names conventions of other kinds, which are not the agent's to check; `rpc/dup` beats `rpc`. */
function rpcOptIn(value: string): RpcOptIn | undefined {
  const items = lowerCaseList(value);
  return RPC_OPT_INS.toReversed().find((name) => items.includes(name));
}

/** A target on the command line replaces both lists of the environment. */
function readTargets(reader: SettingReader, flags: Flags): Targets {
  const exe = reader.first(undefined, 'OTEL_RUST_AUTO_TARGET_EXE', 'OTEL_TARGET_EXE');
  const pid = reader.first(undefined, 'OTEL_RUST_AUTO_TARGET_PID', 'OTEL_TARGET_PID');
  const given = { exe: flags.exe ?? [], pid: flags.pid ?? [] };
  if (given.exe.length + given.pid.length === 0) {
    return { exe: reader.read(exe, [], list), pid: reader.read(pid, [], pidList) };
  }
  return { exe: given.exe, pid: reader.read(flag('--pid', given.pid.join(',') || undefined), [], pidList) };
}
