/** An attribute key, encoded once. Made by `attributeKey`, compared by identity. */
export interface AttributeKey {
  readonly name: string;
  /** UTF-8 of the name. */
  readonly bytes: Uint8Array;
  /** The same, zero-padded, as little-endian words. */
  readonly words: Int32Array;
}

const keys = new Map<string, AttributeKey>();

export function attributeKey(name: string): AttributeKey {
  let key = keys.get(name);
  if (!key) {
    key = makeAttributeKey(name);
    keys.set(name, key);
  }
  return key;
}

function makeAttributeKey(name: string): AttributeKey {
  const bytes = new TextEncoder().encode(name);
  const padded = new Uint8Array((bytes.length + 3) & ~3);
  padded.set(bytes);
  return { name, bytes, words: new Int32Array(padded.buffer) };
}
