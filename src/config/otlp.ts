import { COMPRESSIONS, type OtlpSettings, PROTOCOLS, type Protocol } from '../export/settings.ts';
import { boolean, choice, headerList, milliseconds } from './parse.ts';
import type { Setting, SettingReader } from './source.ts';

export interface OtlpFlags {
  readonly endpoint: Setting | undefined;
  readonly protocol: Setting | undefined;
  readonly headers: Setting | undefined;
}

/** https://opentelemetry.io/docs/specs/otel/protocol/exporter/ */
export function readOtlp(reader: SettingReader, flags: OtlpFlags): OtlpSettings {
  const first = (option: string, flag?: Setting) =>
    reader.first(flag, `OTEL_EXPORTER_OTLP_TRACES_${option}`, `OTEL_EXPORTER_OTLP_${option}`);
  const path = (option: string) => first(option)?.value;
  const protocol = reader.read(first('PROTOCOL', flags.protocol), 'http/protobuf', choice(PROTOCOLS));
  const insecure = reader.read(first('INSECURE'), false, boolean);
  return {
    protocol,
    ...readEndpoint(reader, flags.endpoint, protocol, insecure),
    headers: reader.read(first('HEADERS', flags.headers), {}, headerList),
    timeoutMs: reader.read(first('TIMEOUT'), 10_000, milliseconds(1)),
    compression: reader.read(first('COMPRESSION'), 'none', choice(COMPRESSIONS)),
    certificate: path('CERTIFICATE'),
    clientKey: path('CLIENT_KEY'),
    clientCertificate: path('CLIENT_CERTIFICATE'),
  };
}

type Endpoint = Pick<OtlpSettings, 'endpoint' | 'insecure'>;

function readEndpoint(
  reader: SettingReader,
  flag: Setting | undefined,
  protocol: Protocol,
  insecure: boolean,
): Endpoint {
  const specific = reader.first(undefined, 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT');
  const general = reader.first(undefined, 'OTEL_EXPORTER_OTLP_ENDPOINT');
  const setting = flag ?? specific ?? general;
  if (protocol === 'grpc') {
    const fallback = { endpoint: 'localhost:4317', insecure: true };
    return reader.read(setting, fallback, (value) => grpcEndpoint(value, insecure));
  }
  const append = setting === undefined || setting !== specific;
  const fallback = { endpoint: 'http://localhost:4318/v1/traces', insecure };
  return reader.read(setting, fallback, (value) => ({ endpoint: httpEndpoint(value, append), insecure }));
}

/** The traces endpoint is used as it is; a general one gets `v1/traces` relative to its own path. */
function httpEndpoint(value: string, append: boolean): string {
  const url = parseUrl(value);
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new Error(`expected a URL with http:// or https://, like http://localhost:4318`);
  }
  if (append) url.pathname = `${url.pathname.replace(/\/+$/, '')}/v1/traces`;
  return url.href;
}

/** A scheme decides about TLS; only without one the INSECURE option counts. */
function grpcEndpoint(value: string, insecure: boolean): Endpoint {
  if (value.startsWith('unix:')) return { endpoint: value, insecure };
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value)?.[1]?.toLowerCase();
  const url = parseUrl(scheme === undefined ? `https://${value}` : value);
  if (url === undefined || url.host === '' || (scheme !== undefined && !/^https?$/.test(scheme))) {
    throw new Error('expected host:port, with http:// or https:// before it or not');
  }
  // URL drops a port that is its scheme's own.
  const port = url.port || (scheme === 'http' ? '80' : '443');
  return {
    endpoint: `${url.hostname}:${port}`,
    insecure: scheme === undefined ? insecure : scheme === 'http',
  };
}

function parseUrl(value: string): URL | undefined {
  return URL.canParse(value) ? new URL(value) : undefined;
}
