export const REDACTED = 'REDACTED';

/** Characters of process.command_args in all; what is longer ends with `…`. */
const MAX_CHARACTERS = 4096;

/**
 * Command-line words with obvious secrets replaced: values of `--password x`, `--api-key=x`, `DB_TOKEN=x`,
 * and the user part of URLs. A secret under a name that doesn't say so, or behind a one-letter option,
 * passes through.
 */
export function redactArguments(words: readonly string[]): string[] {
  const result: string[] = [];
  let nextIsSecret = false;
  for (const word of words) {
    const value = nextIsSecret && !word.startsWith('-') ? REDACTED : redactWord(word);
    nextIsSecret = /^--?[^=]+$/.test(word) && namesSecret(word);
    result.push(value);
  }
  return cut(result);
}

function redactWord(word: string): string {
  const equals = word.indexOf('=');
  if (equals > 0 && namesSecret(word.slice(0, equals))) return `${word.slice(0, equals)}=${REDACTED}`;
  return word.replaceAll(/([a-z][a-z0-9+.-]{0,20}:\/\/)[^/?#\s]+@/gi, `$1${REDACTED}:${REDACTED}@`);
}

const SECRET_WORDS =
  /^(?:password|passwd|pwd|passphrase|secrets?|tokens?|credentials?|apikey|authorization)$/;
const KEY_KINDS = /^(?:api|access|private|secret|encryption|signing)$/;

/** `--db-password`, `DB_PASSWORD`, `dbPassword`; not `--password-file`, whose value is a place. */
function namesSecret(name: string): boolean {
  const parts = name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);
  if (/^(?:file|path|dir)$/.test(parts.at(-1) ?? '')) return false;
  return parts.some(
    (part, at) => SECRET_WORDS.test(part) || (part === 'key' && KEY_KINDS.test(parts[at - 1] ?? '')),
  );
}

function cut(words: readonly string[]): string[] {
  const kept: string[] = [];
  let left = MAX_CHARACTERS;
  for (const word of words) {
    if (word.length > left) return [...kept, `${word.slice(0, left)}…`];
    kept.push(word);
    left -= word.length;
  }
  return kept;
}
