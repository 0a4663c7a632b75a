import { choice, ratio } from './parse.ts';
import type { Setting, SettingReader } from './source.ts';

export const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
export type SamplerName = (typeof SAMPLERS)[number];

export interface Sampler {
  /** An incoming sampled flag decides; `ratio` is for roots only. */
  readonly parentBased: boolean;
  /** Share of traces to keep, by trace id: 0 none, 1 all. */
  readonly ratio: number;
}

/** https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#general-sdk-configuration */
export function readSampler(
  reader: SettingReader,
  flag: Setting | undefined,
  argFlag: Setting | undefined,
): Sampler {
  const name = reader.read<SamplerName>(
    reader.first(flag, 'OTEL_TRACES_SAMPLER'),
    'parentbased_always_on',
    choice(SAMPLERS),
  );
  const arg = reader.first(argFlag, 'OTEL_TRACES_SAMPLER_ARG');
  const parentBased = name.startsWith('parentbased_');
  if (name.endsWith('always_on')) return { parentBased, ratio: 1 };
  if (name.endsWith('always_off')) return { parentBased, ratio: 0 };
  return { parentBased, ratio: reader.read(arg, 1, ratio) };
}
