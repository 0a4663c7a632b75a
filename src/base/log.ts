export const LOG_LEVELS = ['none', 'error', 'warn', 'info', 'debug', 'verbose', 'all'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
type Writable = Exclude<LogLevel, 'none' | 'all' | 'verbose'>;

/** Where log lines go. `info` and up by default; one line a call, on stderr. */
export interface Log {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

export function createLog(level: LogLevel, write: (line: string) => void): Log {
  const limit = LOG_LEVELS.indexOf(level);
  const at = (name: Writable) => (message: string) => {
    if (LOG_LEVELS.indexOf(name) <= limit) write(`${name}: ${message}`);
  };
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}
