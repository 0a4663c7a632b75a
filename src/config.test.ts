import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UserError } from './base/errors.ts';
import { type Config, type Flags, readConfig } from './config.ts';

type Env = Readonly<Record<string, string>>;

/** The config, with the warnings compared on the way. */
function read(env: Env, warnings: readonly string[] = [], flags: Flags = {}): Config {
  const result = readConfig(env, flags);
  assert.deepEqual(result.warnings, warnings);
  return result.config;
}

test('defaults', () => {
  assert.deepEqual(read({}), {
    disabled: false,
    logLevel: 'info',
    serviceName: undefined,
    resourceAttributes: {},
    exporters: ['otlp'],
    consoleFormat: 'line',
    otlp: {
      protocol: 'http/protobuf',
      endpoint: 'http://localhost:4318/v1/traces',
      insecure: false,
      headers: {},
      timeoutMs: 10_000,
      compression: 'none',
      certificate: undefined,
      clientKey: undefined,
      clientCertificate: undefined,
    },
    batch: {
      scheduleDelayMs: 5_000,
      exportTimeoutMs: 30_000,
      maxQueueSize: 65_536,
      maxExportBatchSize: 8_192,
    },
    limits: {
      attributeCount: 128,
      attributesPerEvent: 128,
      eventCount: 128,
      attributeValueLength: Number.POSITIVE_INFINITY,
    },
    sampler: { parentBased: true, ratio: 1 },
    propagators: ['tracecontext', 'baggage'],
    captureHeaders: {
      serverRequest: [],
      serverResponse: [],
      clientRequest: [],
      clientResponse: [],
      grpcServerRequest: [],
      grpcClientRequest: [],
    },
    knownMethods: undefined,
    rpcOptIn: undefined,
    targets: { exe: [], pid: [] },
    tier: 'auto',
    traceInstrumented: false,
    injectTls: false,
  });
});

test('empty and blank values count as unset', () => {
  const names: string[] = [];
  const recorder = new Proxy<Env>(
    {},
    {
      get: (_, name) => {
        names.push(String(name));
        return undefined;
      },
    },
  );
  readConfig(recorder);
  assert.ok(names.length > 40);
  for (const blank of ['', '  ']) {
    assert.deepEqual(read(Object.fromEntries(names.map((name) => [name, blank]))), read({}));
  }
});

const endpoints: readonly [name: string, env: Env, endpoint: string, insecure?: boolean][] = [
  ['a general endpoint gets the path', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:1' }, 'http://c:1/v1/traces'],
  ['a trailing slash is one slash', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:1/' }, 'http://c:1/v1/traces'],
  [
    'its own path stays in front',
    { OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c/a/b/' },
    'https://c/a/b/v1/traces',
  ],
  ['a query stays behind', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c/a?k=v' }, 'http://c/a/v1/traces?k=v'],
  [
    'the traces endpoint is used as it is, and first',
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t:2/x', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:1' },
    'http://t:2/x',
  ],
  [
    'a traces endpoint without path is the root',
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t:2' },
    'http://t:2/',
  ],
  ['grpc default', { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, 'localhost:4317', true],
  [
    'grpc http scheme means no TLS, even against INSECURE',
    {
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4317',
      OTEL_EXPORTER_OTLP_INSECURE: 'false',
    },
    'c:4317',
    true,
  ],
  [
    'grpc https scheme means TLS, even against INSECURE',
    {
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://c',
      OTEL_EXPORTER_OTLP_INSECURE: 'true',
    },
    'c:443',
    false,
  ],
  [
    'grpc without scheme is TLS',
    { OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_ENDPOINT: '[::1]:4317' },
    '[::1]:4317',
    false,
  ],
  [
    'grpc without scheme and INSECURE',
    {
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'c:4317',
      OTEL_EXPORTER_OTLP_TRACES_INSECURE: 'TRUE',
      OTEL_EXPORTER_OTLP_INSECURE: 'false',
    },
    'c:4317',
    true,
  ],
  [
    'grpc over a Unix socket',
    {
      OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'unix:///run/otel.sock',
      OTEL_EXPORTER_OTLP_INSECURE: 'true',
    },
    'unix:///run/otel.sock',
    true,
  ],
];
for (const [name, env, endpoint, insecure] of endpoints) {
  test(`endpoint: ${name}`, () => {
    const { otlp } = read(env);
    assert.equal(otlp.endpoint, endpoint);
    if (insecure !== undefined) assert.equal(otlp.insecure, insecure);
  });
}

test('the traces form of every option beats the general one', () => {
  const env: Record<string, string> = {};
  const options = { HEADERS: ['a=1', 'b=2'], TIMEOUT: ['1', '2'], COMPRESSION: ['gzip', 'none'] };
  const files = { CERTIFICATE: ['ca', 'x'], CLIENT_KEY: ['key', 'x'], CLIENT_CERTIFICATE: ['cert', 'x'] };
  for (const [option, [specific = '', general = '']] of Object.entries({ ...options, ...files })) {
    env[`OTEL_EXPORTER_OTLP_TRACES_${option}`] = specific;
    env[`OTEL_EXPORTER_OTLP_${option}`] = general;
  }
  env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL = 'HTTP/JSON';
  env.OTEL_EXPORTER_OTLP_PROTOCOL = 'grpc';
  assert.deepEqual(read(env).otlp, {
    protocol: 'http/json',
    endpoint: 'http://localhost:4318/v1/traces',
    insecure: false,
    headers: { a: '1' },
    timeoutMs: 1,
    compression: 'gzip',
    certificate: 'ca',
    clientKey: 'key',
    clientCertificate: 'cert',
  });
});

test('headers are percent-decoded, and their values never shown', () => {
  const headers = (value: string, warnings: readonly string[] = []) =>
    read({ OTEL_EXPORTER_OTLP_HEADERS: value }, warnings).otlp.headers;
  assert.deepEqual(headers('Authorization=Bearer%20a%3Db, x-tenant = t=1 ,'), {
    authorization: 'Bearer a=b',
    'x-tenant': 't=1',
  });
  assert.deepEqual(
    headers('secret', ['Ignoring OTEL_EXPORTER_OTLP_HEADERS: expected key=value pairs divided by commas']),
    {},
  );
  assert.deepEqual(
    headers('a=%zz', ['Ignoring OTEL_EXPORTER_OTLP_HEADERS: expected percent-encoded UTF-8']),
    {},
  );
  assert.deepEqual(headers('a b=c', ['Ignoring OTEL_EXPORTER_OTLP_HEADERS: "a b" is not a header name']), {});
  assert.deepEqual(
    headers('a=x%0d%0ab:%20c', [
      'Ignoring OTEL_EXPORTER_OTLP_HEADERS: the value of "a" can\'t be sent in a header',
    ]),
    {},
  );
});

test('service name and resource attributes', () => {
  const attributes = 'service.name=listed,deployment.environment.name=staging%2C%20eu,team=ü';
  const listed = read({ OTEL_RESOURCE_ATTRIBUTES: attributes });
  assert.equal(listed.serviceName, 'listed');
  assert.deepEqual(listed.resourceAttributes, { 'deployment.environment.name': 'staging, eu', team: 'ü' });
  assert.equal(read({ OTEL_RESOURCE_ATTRIBUTES: attributes, OTEL_SERVICE_NAME: 'own' }).serviceName, 'own');
  const broken = read({ OTEL_RESOURCE_ATTRIBUTES: 'a=1,b' }, [
    'Ignoring OTEL_RESOURCE_ATTRIBUTES "a=1,b": expected key=value pairs divided by commas',
  ]);
  assert.deepEqual(broken.resourceAttributes, {});
});

const samplers: readonly [name: string, arg: string, parentBased: boolean, ratio: number][] = [
  ['always_on', '', false, 1],
  ['always_off', '', false, 0],
  ['traceidratio', '0.25', false, 0.25],
  ['traceidratio', '', false, 1],
  ['parentbased_always_on', '0.5', true, 1],
  ['parentbased_always_off', '', true, 0],
  ['parentbased_traceidratio', '1e-3', true, 0.001],
];
for (const [name, arg, parentBased, ratio] of samplers) {
  test(`sampler ${name} "${arg}"`, () => {
    const { sampler } = read({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: arg });
    assert.deepEqual(sampler, { parentBased, ratio });
  });
}

test('exporters and propagators are lists', () => {
  assert.deepEqual(read({ OTEL_TRACES_EXPORTER: 'console, OTLP' }).exporters, ['otlp', 'console']);
  assert.deepEqual(read({ OTEL_TRACES_EXPORTER: 'none' }).exporters, []);
  assert.deepEqual(read({ OTEL_PROPAGATORS: 'b3multi,b3' }).propagators, ['b3', 'b3multi']);
  assert.deepEqual(read({ OTEL_PROPAGATORS: 'none' }).propagators, []);
  const warning = 'Ignoring OTEL_TRACES_EXPORTER "zipkin": expected otlp, console or none';
  assert.deepEqual(read({ OTEL_TRACES_EXPORTER: 'zipkin' }, [warning]).exporters, ['otlp']);
  assert.deepEqual(read({ OTEL_TRACES_EXPORTER: 'zipkin,console' }, [warning]).exporters, ['console']);
});

test('lists, targets and limits', () => {
  const config = read({
    OTEL_INSTRUMENTATION_HTTP_SERVER_CAPTURE_REQUEST_HEADERS: 'Accept, X-Id,accept',
    OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS: 'GET,PURGE',
    OTEL_TARGET_EXE: '/opt/a,/opt/*/b',
    OTEL_RUST_AUTO_TARGET_PID: '12, 34',
    OTEL_TARGET_PID: '56',
    OTEL_ATTRIBUTE_COUNT_LIMIT: '9',
    OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT: '0',
    OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '50',
    OTEL_SDK_DISABLED: 'True',
    OTEL_LOG_LEVEL: 'DEBUG',
  });
  assert.deepEqual(config.captureHeaders.serverRequest, ['accept', 'x-id']);
  assert.deepEqual(config.knownMethods, ['GET', 'PURGE']);
  assert.deepEqual(config.targets, { exe: ['/opt/a', '/opt/*/b'], pid: [12, 34] });
  assert.deepEqual(config.limits, {
    attributeCount: 0,
    attributesPerEvent: 9,
    eventCount: 128,
    attributeValueLength: 50,
  });
  assert.deepEqual([config.disabled, config.logLevel], [true, 'debug']);
});

test('a batch is never larger than the queue', () => {
  assert.equal(read({ OTEL_BSP_MAX_QUEUE_SIZE: '100' }).batch.maxExportBatchSize, 100);
  const env = { OTEL_BSP_MAX_QUEUE_SIZE: '100', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '200' };
  const warning = 'Ignoring OTEL_BSP_MAX_EXPORT_BATCH_SIZE "200": larger than the queue; 100 is used';
  assert.equal(read(env, [warning]).batch.maxExportBatchSize, 100);
});

const wrong: readonly [name: string, value: string, reason: string][] = [
  ['OTEL_SDK_DISABLED', '1', 'expected true or false; taken as false'],
  ['OTEL_LOG_LEVEL', 'loud', 'expected one of none, error, warn, info, debug, verbose, all'],
  ['OTEL_EXPORTER_OTLP_PROTOCOL', 'http', 'expected one of http/protobuf, http/json, grpc'],
  [
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    'collector:4318',
    'expected a URL with http:// or https://, like http://localhost:4318',
  ],
  [
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    'http://',
    'expected a URL with http:// or https://, like http://localhost:4318',
  ],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '10s', 'expected a whole number from 1 to 2147483647'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '99999999999', 'expected a whole number from 1 to 2147483647'],
  ['OTEL_EXPORTER_OTLP_COMPRESSION', 'zstd', 'expected one of none, gzip'],
  [
    'OTEL_TRACES_SAMPLER',
    'jaeger_remote',
    'expected one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio',
  ],
  ['OTEL_BSP_MAX_QUEUE_SIZE', '0', 'expected a whole number of at least 1'],
  ['OTEL_BSP_SCHEDULE_DELAY', '-1', 'expected a whole number from 0 to 2147483647'],
  ['OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT', '1.5', 'expected a whole number of at least 0'],
  ['OTEL_RUST_AUTO_TARGET_PID', '12,x', '"x" is not a process id'],
  ['OTEL_RUST_AUTO_TIER', 'kernel', 'expected one of auto, socket, library'],
];
for (const [name, value, reason] of wrong) {
  test(`${name}=${value} is one warning and the default`, () => {
    assert.deepEqual(read({ [name]: value }, [`Ignoring ${name} "${value}": ${reason}`]), read({}));
  });
}

test('a ratio that makes no sense is 1', () => {
  for (const arg of ['2', '-0.1', 'half', 'NaN']) {
    const env = { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: arg };
    const warning = `Ignoring OTEL_TRACES_SAMPLER_ARG "${arg}": expected a ratio from 0 to 1`;
    assert.equal(read(env, [warning]).sampler.ratio, 1);
  }
});

test('flags beat the environment', () => {
  const env = {
    OTEL_RUST_AUTO_TARGET_EXE: '/opt/a',
    OTEL_RUST_AUTO_TARGET_PID: '1',
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t/x',
    OTEL_TRACES_EXPORTER: 'none',
    OTEL_SERVICE_NAME: 'env',
  };
  const flags = {
    pid: ['7', '8'],
    endpoint: 'http://f',
    exporter: 'console',
    serviceName: 'flag',
    tier: 'socket',
  };
  const config = read(env, [], flags);
  assert.deepEqual(config.targets, { exe: [], pid: [7, 8] });
  assert.equal(config.otlp.endpoint, 'http://f/v1/traces');
  assert.deepEqual(config.exporters, ['console']);
  assert.equal(config.serviceName, 'flag');
  assert.equal(config.tier, 'socket');
  assert.equal(readConfig({}, { traceInstrumented: true }).config.traceInstrumented, true);
  assert.equal(readConfig({ OTEL_RUST_AUTO_TRACE_INSTRUMENTED: 'true' }).config.traceInstrumented, true);
  assert.equal(readConfig({}, { injectTls: true }).config.injectTls, true);
  assert.equal(readConfig({ OTEL_RUST_AUTO_INJECT_TLS: 'true' }).config.injectTls, true);
});

test('a bad flag is an error', () => {
  const fails = (flags: Flags, message: string) =>
    assert.throws(
      () => readConfig({}, flags),
      (error) => error instanceof UserError && error.message === message,
    );
  fails({ pid: ['abc'] }, 'Cannot use --pid "abc": "abc" is not a process id');
  fails({ tier: 'x' }, 'Cannot use --tier "x": expected one of auto, socket, library');
  fails({ exporter: 'zipkin' }, 'Cannot use --exporter "zipkin": expected otlp, console or none');
  fails({ headers: 'secret' }, 'Cannot use --headers: expected key=value pairs divided by commas');
});

test('names of remote procedure calls: rpc/dup beats rpc, others are not ours', () => {
  const optIn = (value: string) => {
    const { config, warnings } = readConfig({ OTEL_SEMCONV_STABILITY_OPT_IN: value });
    assert.deepEqual(warnings, []);
    return config.rpcOptIn;
  };
  assert.equal(optIn('http,RPC'), 'rpc');
  assert.equal(optIn('rpc, rpc/dup'), 'rpc/dup');
  assert.equal(optIn('http/dup,database'), undefined);
});
