/**
 * `OTEL_RESOURCE_ATTRIBUTES` of a traced program: `key=value,…`, percent-encoded. A value that can't be read
 * is dropped as a whole, as the specification asks.
 */
export function parseResourceAttributes(text: string): Readonly<Record<string, string>> {
  const attributes: Record<string, string> = {};
  for (const pair of text.split(',')) {
    if (pair.trim() === '') continue;
    const equals = pair.indexOf('=');
    const key = decode(pair.slice(0, equals));
    const value = decode(pair.slice(equals + 1));
    if (equals < 1 || !key || value === undefined) return {};
    attributes[key] = value;
  }
  return attributes;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.trim());
  } catch {
    return undefined;
  }
}
