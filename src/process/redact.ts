export const REDACTED = 'REDACTED';

/** Characters of process.command_args in all, one more for each word; what is longer ends with `…`. */
const MAX_CHARACTERS = 4096;
/** Characters of a word that are looked at: it is the traced program that chooses how long it is. */
const MAX_WORD = 16_384;

/**
 * Command-line words with obvious secrets replaced: values of `--password x`, `--api-key=x`, `DB_TOKEN=x`,
 * `?token=x`, `Authorization: x`, and the user part of URLs. A secret under a name that doesn't say so, or
 * behind a one-letter option, passes through.
 */
export function redactArguments(words: readonly string[]): string[] {
  const kept: string[] = [];
  let left = MAX_CHARACTERS;
  let nextIsSecret = false;
  for (const whole of words) {
    const word = whole.slice(0, MAX_WORD);
    const shown = nextIsSecret && !word.startsWith('-') ? REDACTED : redactWord(word);
    if (shown.length > left) return [...kept, `${shown.slice(0, left)}…`];
    kept.push(shown);
    left -= shown.length + 1;
    nextIsSecret = /^--?[^=]+$/.test(word) && namesSecret(word);
  }
  return kept;
}

function redactWord(word: string): string {
  const equals = word.indexOf('=');
  if (equals > 0 && namesSecret(word.slice(0, equals))) return `${word.slice(0, equals)}=${REDACTED}`;
  return word
    .replaceAll(URL_USER, `$1${REDACTED}:${REDACTED}@`)
    .replaceAll(PARAMETER, (all, before, name) => (namesSecret(name) ? `${before}${name}=${REDACTED}` : all))
    .replace(HEADER, (all, name) => (namesSecret(name) ? `${name}: ${REDACTED}` : all));
}

const URL_USER = /([a-z][a-z0-9+.-]{0,20}:\/\/)[^/?#\s]+@/gi;
/** In a query string or a connection string: `?password=x&`, `host=h password=x`, `user=u;pwd=x`. */
const PARAMETER = /([?&;,\s])([\w.-]{1,60})=[^&;,\s]*/g;
/** `Authorization: Bearer x`, to the end of the word. */
const HEADER = /([A-Za-z][\w-]{0,60}): .*$/s;

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
