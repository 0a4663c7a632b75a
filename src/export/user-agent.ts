import packageJson from '../../package.json' with { type: 'json' };

/** Goes in front of the OTLP exporter's own name and version. */
export const USER_AGENT = `otel-rust-agent/${packageJson.version}`;
