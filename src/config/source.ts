import { messageOf, UserError } from '../base/errors.ts';

export type Env = Readonly<Record<string, string | undefined>>;

/** One value the user gave, with the name it came under: `OTEL_…` or `--flag`. */
export interface Setting {
  readonly name: string;
  readonly value: string;
}

/**
 * Reads settings and collects what is wrong with them: a bad variable is warned about and ignored, as the
 * OpenTelemetry specification asks; a bad flag is a `UserError`, since it was typed for this very run.
 */
export class SettingReader {
  readonly #env: Env;
  readonly warnings: string[] = [];

  constructor(env: Env) {
    this.#env = env;
  }

  /** The first that is set. Empty and blank count as unset (specification, "Parsing empty value"). */
  first(flag: Setting | undefined, ...names: readonly string[]): Setting | undefined {
    const found = names.map((name) => ({ name, value: this.#env[name]?.trim() ?? '' }));
    return flag ?? found.find((setting) => setting.value !== '');
  }

  /** Parses a setting; `parse` throws an Error that says what was expected. */
  read<T>(setting: Setting | undefined, fallback: T, parse: (value: string) => T): T {
    if (setting === undefined) return fallback;
    try {
      return parse(setting.value);
    } catch (error) {
      this.reject(setting, messageOf(error));
      return fallback;
    }
  }

  reject(setting: Setting, reason: string): void {
    const shown = isSecret(setting.name) ? '' : ` "${setting.value}"`;
    if (setting.name.startsWith('--')) throw new UserError(`Cannot use ${setting.name}${shown}: ${reason}`);
    this.warnings.push(`Ignoring ${setting.name}${shown}: ${reason}`);
  }
}

/** Header values often hold credentials: they never reach a log. */
function isSecret(name: string): boolean {
  return /HEADERS$/.test(name) || name === '--headers';
}
