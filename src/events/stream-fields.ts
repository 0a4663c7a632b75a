import { standardHeaderName } from '../base/standard-headers.ts';
import { FIELD_KIND, PSEUDO, streamField } from './layout.ts';

/** A header: name in lower case, value a character a byte. */
export type StreamHeader = readonly [name: string, value: string];

/** What the fields of a record tell. Texts hold a character a byte; those of routes are UTF-8. */
export interface StreamFields {
  /** Of an extension method. */
  readonly method: string | undefined;
  readonly scheme: string | undefined;
  readonly authority: string | undefined;
  readonly path: string | undefined;
  readonly protocol: string | undefined;
  /** In the order they came. */
  readonly headers: readonly StreamHeader[];
  /** Templates of the routers that the request has passed, outermost first. */
  readonly routes: readonly string[];
  /** Authority or path lack their end. */
  readonly cutTarget: boolean;
}

const NO_FIELDS: StreamFields = {
  method: undefined,
  scheme: undefined,
  authority: undefined,
  path: undefined,
  protocol: undefined,
  headers: [],
  routes: [],
  cutTarget: false,
};

type MutableFields = { -readonly [Key in keyof StreamFields]: StreamFields[Key] };

/** undefined when they don't end where the last one does, or one is of no known kind. */
export function readFields(
  view: DataView,
  bytes: Buffer,
  start: number,
  end: number,
): StreamFields | undefined {
  if (start === end) return NO_FIELDS;
  const headers: StreamHeader[] = [];
  const routes: string[] = [];
  const fields: MutableFields = { ...NO_FIELDS, headers, routes };
  for (let at = start; at < end; ) {
    if (end - at < streamField.size) return undefined;
    const cut = view.getUint8(at + streamField.kind) & FIELD_KIND.CUT;
    const kind = view.getUint8(at + streamField.kind) - cut;
    const name = view.getUint8(at + streamField.name);
    const text = at + streamField.size;
    const value = kind === FIELD_KIND.CUSTOM ? text + name : text;
    const next = value + view.getUint16(at + streamField.valueSize, true);
    if (next > end) return undefined;
    if (kind === FIELD_KIND.ROUTE) routes.push(bytes.toString('utf8', value, next));
    else if (kind === FIELD_KIND.PSEUDO)
      readPseudo(fields, name, bytes.toString('latin1', value, next), cut !== 0);
    else if (kind === FIELD_KIND.STANDARD || kind === FIELD_KIND.CUSTOM) {
      const header =
        kind === FIELD_KIND.STANDARD
          ? standardHeaderName(name)
          : bytes.toString('latin1', text, value).toLowerCase();
      if (header !== undefined) headers.push([header, bytes.toString('latin1', value, next)]);
    } else return undefined;
    at = next;
  }
  return fields;
}

const TOKEN = /^[!#$%&'*+.^_`|~\w-]{1,15}$/;

/** Of http's InlineExtension: 15 bytes and, before or behind them, how many there are; else it is no method's name. */
function inlineMethod(value: string): string | undefined {
  let [start, end] = [0, value.length];
  while (start < end && value.charCodeAt(start) < 16) start++;
  while (end > start && value.charCodeAt(end - 1) < 16) end--;
  const text = value.slice(start, end);
  return TOKEN.test(text) ? text : undefined;
}

function readPseudo(fields: MutableFields, name: number, value: string, cut: boolean): void {
  if (name === PSEUDO.METHOD) fields.method = inlineMethod(value);
  else if (name === PSEUDO.SCHEME) fields.scheme = value;
  else if (name === PSEUDO.AUTHORITY) fields.authority = value;
  else if (name === PSEUDO.PATH) fields.path = value;
  else if (name === PSEUDO.PROTOCOL) fields.protocol = value;
  if (cut && (name === PSEUDO.AUTHORITY || name === PSEUDO.PATH)) fields.cutTarget = true;
}
