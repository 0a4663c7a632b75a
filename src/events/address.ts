const AF_INET = 2;
const AF_INET6 = 10;
const REMEMBERED = 4096;

/** Texts of IP addresses. Peers repeat: the last few thousand IPv4 texts are kept. */
export class AddressTexts {
  readonly #known = new Map<number, string>();

  read(view: DataView, at: number, family: number): string | undefined {
    if (family === AF_INET) return this.#v4(view.getUint32(at, false));
    if (family !== AF_INET6) return undefined;
    // ::ffff:a.b.c.d is an IPv4 peer of a socket that listens on both (RFC 4291 §2.5.5.2).
    const mapped =
      view.getUint32(at, false) === 0 &&
      view.getUint32(at + 4, false) === 0 &&
      view.getUint32(at + 8, false) === 0xffff;
    return mapped ? this.#v4(view.getUint32(at + 12, false)) : formatV6(view, at);
  }

  #v4(word: number): string {
    let text = this.#known.get(word);
    if (text === undefined) {
      text = `${word >>> 24}.${(word >>> 16) & 255}.${(word >>> 8) & 255}.${word & 255}`;
      if (this.#known.size >= REMEMBERED) this.#known.clear();
      this.#known.set(word, text);
    }
    return text;
  }
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups is `::`. */
export function formatV6(view: DataView, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(at + 2 * i, false));
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
  }
  const hex = (part: readonly number[]) => part.map((group) => group.toString(16)).join(':');
  if (start < 0) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
