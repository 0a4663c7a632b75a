/**
 * HTTP/1 framing of a connection as RFC 9112 has it, a byte at a time: the reference for the kernel side. It is
 * strict about heads and knows no buffers, windows or limits. A server receives requests and sends responses, a
 * client the other way round.
 */
export class ConnectionModel {
  /** Complete request heads, a character a byte, without empty lines before them. */
  readonly requests: string[] = [];
  /** Status codes of final responses. */
  readonly statuses: number[] = [];
  #requests: Reader = head();
  #responses: Reader = head();

  request(bytes: string): void {
    for (const byte of bytes) this.#requests = this.#read(this.#requests, byte);
  }

  response(bytes: string): void {
    for (const byte of bytes) this.#responses = this.#write(this.#responses, byte);
  }

  #read(reader: Reader, byte: string): Reader {
    if (reader.state !== 'head') return step(reader, byte);
    const text = reader.text + byte;
    if (byte !== '\n') return head(text);
    if (/^\r?\n$/.test(text)) return head(); // RFC 9112 §2.2: empty lines before a request are ignored
    if (!/\n\r?\n$/.test(text)) return head(text);
    const message = parseHead(text, REQUEST_LINE);
    if (!message) return LOST;
    this.requests.push(text);
    return message.line[1] === 'CONNECT' ? { state: 'wait', text: '', left: 0 } : body(message, LOST);
  }

  #write(reader: Reader, byte: string): Reader {
    if (reader.state !== 'head') return this.#checked(step(reader, byte));
    const text = reader.text + byte;
    // The answer of a connection older than the agent, whose request it did not see.
    if (this.requests.length === 0) return reader;
    const request = this.requests[this.statuses.length];
    if (request === undefined) return this.#checked(LOST);
    if (byte !== '\n') return head(text);
    if (!/\n\r?\n$/.test(text)) return head(text);
    const message = parseHead(text, STATUS_LINE);
    if (!message) return this.#checked(LOST);
    const status = Number(message.line[1]);
    if (status >= 100 && status < 200 && status !== 101) return head();
    this.statuses.push(status);
    return this.#afterResponse(request.split(' ', 1)[0] ?? '', status, message);
  }

  /** RFC 9112 §6.3. */
  #afterResponse(method: string, status: number, message: Message): Reader {
    const success = status >= 200 && status < 300;
    if (status === 101 || (method === 'CONNECT' && success)) {
      this.#requests = LOST;
      return LOST;
    }
    if (method === 'CONNECT') this.#requests = this.#requests.text === '' ? head() : LOST;
    if (method === 'HEAD' || status === 204 || status === 304) return head();
    const untilClose: Reader = { state: 'close', text: '', left: 0 };
    if (!message.headers.has('transfer-encoding') && !message.headers.has('content-length'))
      return untilClose;
    return body(message, untilClose);
  }

  /** Without the responses, nothing that is read can be told apart any more. */
  #checked(reader: Reader): Reader {
    if (reader === LOST) this.#requests = LOST;
    return reader;
  }
}

interface Reader {
  readonly state: 'head' | 'length' | 'size' | 'data' | 'data-end' | 'trailer' | 'wait' | 'close' | 'lost';
  /** What is read of the present head or line. */
  readonly text: string;
  readonly left: number;
}

const head = (text = ''): Reader => ({ state: 'head', text, left: 0 });
const LOST: Reader = { state: 'lost', text: '', left: 0 };

/**
 * One byte of a body. Chunks: RFC 9112 §7.1, but what follows a size up to the end of its line is taken as it
 * comes, and so is a CR too many: the kernel side leaves that to the server, which closes the connection.
 */
function step(reader: Reader, byte: string): Reader {
  const { state, left } = reader;
  const text = reader.text + byte;
  switch (state) {
    case 'length':
      return left === 1 ? head() : { ...reader, left: left - 1 };
    case 'size':
      return byte === '\n' ? sizeLine(text) : { ...reader, text };
    case 'data':
      return left === 1 ? { state: 'data-end', text: '', left: 0 } : { ...reader, left: left - 1 };
    case 'data-end':
      if (byte !== '\n') return byte === '\r' ? { ...reader, text } : LOST;
      return { state: 'size', text: '', left: 0 };
    case 'trailer':
      if (byte !== '\n') return { ...reader, text };
      return /^\r*\n$/.test(text) ? head() : { ...reader, text: '' };
    case 'wait':
      return { ...reader, text: 'early' };
    default:
      return reader;
  }
}

function sizeLine(text: string): Reader {
  const size = /^([0-9a-f]{1,15})([ \t;\r][^\n]*)?\n$/i.exec(text)?.[1];
  if (size === undefined) return LOST;
  const left = Number.parseInt(size, 16);
  return { state: left > 0 ? 'data' : 'trailer', text: '', left };
}

interface Message {
  readonly line: RegExpExecArray;
  /** Values by lower-case name. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
}

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~\w]+) ([!-~\x80-\xff]+) HTTP\/1\.[01]$/;
const STATUS_LINE = /^HTTP\/1\.[01] ([1-9]\d\d)( .*)?$/;
const FIELD = /^([!#$%&'*+\-.^_`|~\w]+):([\t -~\x80-\xff]*)$/;

function parseHead(text: string, firstLine: RegExp): Message | undefined {
  const [first = '', ...fields] = text.split(/\r?\n/).slice(0, -2);
  const line = firstLine.exec(first);
  const headers = new Map<string, string[]>();
  for (const field of fields) {
    const [, name = '', value = ''] = FIELD.exec(field) ?? [];
    if (name === '') return undefined;
    const values = headers.get(name.toLowerCase()) ?? [];
    headers.set(name.toLowerCase(), [...values, value.replace(/^[ \t]+|[ \t]+$/g, '')]);
  }
  return line ? { line, headers } : undefined;
}

/** RFC 9112 §6.3: the body's framing; `endless` where the last coding isn't chunked. */
function body({ headers }: Message, endless: Reader): Reader {
  const lengths = new Set(
    headers.get('content-length')?.map((value) => (/^\d{1,15}$/.test(value) ? Number(value) : -1)),
  );
  if (lengths.size > 1 || lengths.has(-1)) return LOST;
  const codings = headers.get('transfer-encoding')?.join(',').toLowerCase().split(',');
  if (codings) return codings.at(-1)?.trim() === 'chunked' ? { state: 'size', text: '', left: 0 } : endless;
  const [left = 0] = lengths;
  return left > 0 ? { state: 'length', text: '', left } : head();
}
