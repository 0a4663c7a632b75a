// Builds the OpenTelemetry Collector of e2e/collector/builder.yaml; prints the executable's path.
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDirectory, hashOfFiles, isMain, root, run } from './setup-cache.mjs';

const builder = 'go.opentelemetry.io/collector/cmd/builder@v0.145.0';
const config = join(root, 'e2e', 'collector', 'builder.yaml');

/** Returns the executable, built on the first call only: about two minutes. */
export function buildCollector() {
  const directory = join(cacheDirectory, `collector-${hashOfFiles([config])}`);
  const executable = join(directory, 'otelcol');
  if (existsSync(executable)) return executable;
  const work = join(cacheDirectory, `collector-build-${process.pid}`);
  mkdirSync(work, { recursive: true });
  cpSync(config, join(work, 'builder.yaml'));
  const options = { cwd: work, env: { ...process.env, CGO_ENABLED: '0' }, stdio: ['ignore', 2, 2] };
  run('go', ['run', builder, '--config', 'builder.yaml'], options);
  mkdirSync(directory, { recursive: true });
  renameSync(join(work, 'dist', 'otelcol'), executable);
  rmSync(work, { recursive: true, force: true });
  return executable;
}

if (isMain(import.meta.url)) console.log(buildCollector());
