/** Parsers of single values. Each throws an Error that names what was expected. */

/** Enum values are case-insensitive (specification, "Enum"). */
export function choice<T extends string>(allowed: readonly T[]): (value: string) => T {
  return (value) => {
    const found = allowed.find((name) => name === value.toLowerCase());
    if (found === undefined) throw new Error(`expected one of ${allowed.join(', ')}`);
    return found;
  };
}

export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < min || number > max) {
      throw new Error(
        max === Number.MAX_SAFE_INTEGER
          ? `expected a whole number of at least ${min}`
          : `expected a whole number from ${min} to ${max}`,
      );
    }
    return number;
  };
}

/** setTimeout counts in a signed 32-bit number of milliseconds. */
export const milliseconds = (min: number) => integer(min, 2 ** 31 - 1);

/** `true` in any case is true, anything else false (specification, "Boolean"). */
export function boolean(value: string): boolean {
  const lower = value.toLowerCase();
  if (lower === 'true') return true;
  if (lower === 'false') return false;
  throw new Error('expected true or false; taken as false');
}

export function ratio(value: string): number {
  const number = Number(value);
  if (!(number >= 0 && number <= 1)) throw new Error('expected a ratio from 0 to 1');
  return number;
}

/** Comma list without blanks and repetitions. */
export function list(value: string): readonly string[] {
  const items = value.split(',').map((item) => item.trim());
  return [...new Set(items.filter((item) => item !== ''))];
}

export const lowerCaseList = (value: string): readonly string[] => list(value.toLowerCase());

export function pidList(value: string): readonly number[] {
  return list(value).map((item) => {
    const pid = Number(item);
    // 2^22 is the largest /proc/sys/kernel/pid_max.
    if (!/^\d+$/.test(item) || pid < 1 || pid > 2 ** 22) throw new Error(`"${item}" is not a process id`);
    return pid;
  });
}

/** `key=value,key2=value2` with percent-encoded values, as in the W3C Baggage header without properties. */
export function keyValueList(value: string): Readonly<Record<string, string>> {
  const result: Record<string, string> = {};
  for (const pair of value.split(',')) {
    if (pair.trim() === '') continue;
    const equals = pair.indexOf('=');
    if (equals < 1) throw new Error('expected key=value pairs divided by commas');
    result[decode(pair.slice(0, equals))] = decode(pair.slice(equals + 1));
  }
  return result;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.trim());
  } catch {
    throw new Error('expected percent-encoded UTF-8');
  }
}

/** Header names of RFC 9110 (token); values without control characters. */
export function headerList(value: string): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  for (const [key, text] of Object.entries(keyValueList(value))) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(key)) throw new Error(`"${key}" is not a header name`);
    if (/[^\t\x20-\x7e\x80-\xff]/.test(text))
      throw new Error(`the value of "${key}" can't be sent in a header`);
    headers[key.toLowerCase()] = text;
  }
  return headers;
}
