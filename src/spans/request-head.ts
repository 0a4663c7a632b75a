/** What a span needs of an HTTP/1 request head. Strings hold a character a byte (latin1). */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  /** `1.0` or `1.1`. */
  readonly version: string;
  readonly host: string | undefined;
  readonly userAgent: string | undefined;
  readonly forwarded: string | undefined;
  readonly forwardedFor: string | undefined;
  readonly forwardedProto: string | undefined;
  readonly traceState: string | undefined;
  /** Values of the headers asked for, by lower-case name, in the order they came. */
  readonly captured: ReadonlyMap<string, readonly string[]> | undefined;
}

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
/** RFC 9112 §3, with the liberties httparse takes: LF alone ends a line, bytes above 0x7f may stand in a target. */
const REQUEST_LINE = new RegExp(`(?:\\r?\\n)*(${TOKEN}) ([!-~\\x80-\\xff]+) HTTP/1\\.([01])\\r?\\n`, 'y');
/** RFC 9110 §5.5: visible characters, spaces and tabs; 0x80–0xff as they come. */
const HEADER_LINES = new RegExp(`(?:${TOKEN}:[\\t -~\\x80-\\xff]*\\r?\\n)*`, 'y');

/**
 * Parses a head as strictly as servers do: undefined for anything that is no HTTP/1 request. `complete` is
 * false when the end of the head was cut off by the capture: then its last line may be unfinished.
 */
export function parseRequestHead(
  text: string,
  complete: boolean,
  capture: ReadonlySet<string> | undefined,
): RequestHead | undefined {
  REQUEST_LINE.lastIndex = 0;
  const line = REQUEST_LINE.exec(text);
  if (!line) return complete ? undefined : parseCutLine(text);
  const start = REQUEST_LINE.lastIndex;
  HEADER_LINES.lastIndex = start;
  HEADER_LINES.test(text);
  const end = HEADER_LINES.lastIndex;
  if (complete ? !isEmptyLine(text, end) : text.indexOf('\n', end) >= 0) return undefined;
  const head = emptyHead(line[1] ?? '', line[2] ?? '', line[3] === '0' ? '1.0' : '1.1');
  readHeaders(head, text, start, end, capture);
  return head;
}

const isEmptyLine = (text: string, at: number) =>
  text.charCodeAt(at) === LF || (text.charCodeAt(at) === CR && text.charCodeAt(at + 1) === LF);

type MutableHead = { -readonly [Key in keyof RequestHead]: RequestHead[Key] };

const LF = 10;
const CR = 13;
const SPACE = 32;
const TAB = 9;

function emptyHead(method: string, target: string, version: string): MutableHead {
  return {
    method,
    target,
    version,
    host: undefined,
    userAgent: undefined,
    forwarded: undefined,
    forwardedFor: undefined,
    forwardedProto: undefined,
    traceState: undefined,
    captured: undefined,
  };
}

/** A target longer than the capture: what is there of it is recorded, the version isn't known to be 1.0. */
function parseCutLine(text: string): RequestHead | undefined {
  const line = new RegExp(`^(?:\\r?\\n)*(${TOKEN}) ([!-~\\x80-\\xff]+)`).exec(text);
  return line ? emptyHead(line[1] ?? '', line[2] ?? '', '1.1') : undefined;
}

function readHeaders(
  head: MutableHead,
  text: string,
  start: number,
  end: number,
  capture: ReadonlySet<string> | undefined,
): void {
  for (let at = start; at < end; ) {
    const colon = text.indexOf(':', at);
    const newline = text.indexOf('\n', colon);
    readHeader(head, text, at, colon, newline);
    if (capture) captureHeader(head, text, at, colon, newline, capture);
    at = newline + 1;
  }
}

/** The length and one letter tell most headers apart before a name is compared. */
function readHeader(head: MutableHead, text: string, at: number, colon: number, newline: number): void {
  switch (colon - at) {
    case 4:
      if (isName(text, at, 'host')) head.host ??= value(text, colon, newline);
      break;
    case 9:
      if (isName(text, at, 'forwarded')) head.forwarded ??= value(text, colon, newline);
      break;
    case 10:
      if (isName(text, at, 'user-agent')) head.userAgent ??= value(text, colon, newline);
      else if (isName(text, at, 'tracestate'))
        head.traceState = joined(head.traceState, value(text, colon, newline));
      break;
    case 15:
      if (isName(text, at, 'x-forwarded-for')) head.forwardedFor ??= value(text, colon, newline);
      break;
    case 17:
      if (isName(text, at, 'x-forwarded-proto')) head.forwardedProto ??= value(text, colon, newline);
      break;
  }
}

/** ASCII letters differ from their capitals in bit 5 only; the dash has that bit set. */
function isName(text: string, at: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    if ((text.charCodeAt(at + i) | 0x20) !== name.charCodeAt(i)) return false;
  }
  return true;
}

function value(text: string, colon: number, newline: number): string {
  let start = colon + 1;
  let end = newline;
  if (text.charCodeAt(end - 1) === CR) end--;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

const isSpace = (code: number) => code === SPACE || code === TAB;

/** W3C trace context §3.3.1: several tracestate headers are one list. */
const joined = (before: string | undefined, more: string) => (before ? `${before},${more}` : more);

function captureHeader(
  head: MutableHead,
  text: string,
  at: number,
  colon: number,
  newline: number,
  capture: ReadonlySet<string>,
): void {
  const name = text.slice(at, colon).toLowerCase();
  if (!capture.has(name)) return;
  const captured = (head.captured ?? new Map()) as Map<string, string[]>;
  head.captured = captured;
  const values = captured.get(name);
  if (values) values.push(value(text, colon, newline));
  else captured.set(name, [value(text, colon, newline)]);
}

/** Headers of a response head that are asked for, as `captured` of a request head. */
export function parseResponseHeaders(
  text: string,
  capture: ReadonlySet<string>,
): ReadonlyMap<string, readonly string[]> | undefined {
  const start = text.indexOf('\n') + 1;
  HEADER_LINES.lastIndex = start;
  HEADER_LINES.test(text);
  const head = emptyHead('', '', '');
  readHeaders(head, text, start, HEADER_LINES.lastIndex, capture);
  return head.captured;
}
