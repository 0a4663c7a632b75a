import { readFileSync } from 'node:fs';

export interface Versions {
  readonly agent: string;
  /** Version of the OpenTelemetry SDK that carries the spans, for telemetry.sdk.version. */
  readonly sdk: string;
}

/** From package.json, three folders above dist/src/cli. */
export function readVersions(): Versions {
  const file = new URL('../../../package.json', import.meta.url);
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as {
    version: string;
    dependencies: Record<string, string>;
  };
  return { agent: manifest.version, sdk: manifest.dependencies['@opentelemetry/sdk-trace'] ?? 'unknown' };
}
