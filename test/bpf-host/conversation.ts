import fc from 'fast-check';

/** Bytes in one direction of one connection. */
export interface Step {
  readonly connection: number;
  readonly received: boolean;
  readonly bytes: string;
  readonly call: string;
}

const name = fc.constantFrom(
  'X-A',
  'Cookie',
  'Accept',
  'traceparent',
  'content-',
  'transfer-encoding-x',
  'Host',
);
const value = fc.string({ unit: fc.constantFrom(...'abc GET/HTTP1. \t;,:=\xe9'), maxLength: 40 });
const longValue = fc.nat(6000).map((size) => 'v'.repeat(size));
const field = fc
  .tuple(name, fc.oneof({ weight: 12, arbitrary: value }, { weight: 1, arbitrary: longValue }))
  .map(([key, text]) => `${key}: ${text}`);
const fields = fc.array(field, { maxLength: 5 });
const content = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'ab\r\n0:; GET/'), maxLength: 60 }),
  fc.constantFrom('GET / HTTP/1.1\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n', '\r\n\r\n', '0\r\n\r\n'),
  fc.nat(5000).map((size) => 'b'.repeat(size)),
);

/** Header lines and bytes of a body. */
type Body = readonly [fields: readonly string[], bytes: string];

const chunk = fc
  .tuple(content, fc.constantFrom('', ';a', ' ; q="x"', '\t'), fc.boolean())
  .filter(([data]) => data !== '')
  .map(([data, extension, upper]) => {
    const size = data.length.toString(16);
    return `${upper ? `0${size.toUpperCase()}` : size}${extension}\r\n${data}\r\n`;
  });

const chunked = fc
  .tuple(
    fc.array(chunk, { maxLength: 4 }),
    fields,
    fc.constantFrom(['Transfer-Encoding: chunked'], ['content-length: 3', 'TRANSFER-ENCODING:gzip, Chunked']),
  )
  .map(
    ([chunks, trailer, head]): Body => [
      head,
      `${chunks.join('')}0\r\n${trailer.map((line) => `${line}\r\n`).join('')}\r\n`,
    ],
  );
const sized = content.map((data): Body => [[`Content-Length: ${data.length}`], data]);
const none = fc.constant<Body>([[], '']);

const request = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'X'),
    target: fc.constantFrom('/', '/a?b=c', '*', 'http://a.example/x', '/\xc3\xa9', `/${'t'.repeat(300)}`),
    version: fc.constantFrom('1.1', '1.1', '1.0'),
    empty: fc.constantFrom('', '', '', '\r\n', '\r\n\r\n'),
    fields,
    body: fc.oneof(none, sized, chunked),
    newline: fc.constantFrom('\r\n', '\r\n', '\n'),
  })
  .map((r) => {
    const lines = [`${r.method} ${r.target} HTTP/${r.version}`, ...r.body[0], ...r.fields, '', ''];
    return { method: r.method, head: r.empty + lines.join(r.newline), body: r.body[1] };
  });

const response = fc.record({
  interim: fc.constantFrom('', '', '', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 x\r\nLink: a\r\n\r\n'),
  status: fc.constantFrom(200, 200, 201, 204, 301, 304, 404, 500, 999),
  fields,
  body: fc.oneof(sized, chunked),
});

const exchange = fc.record({ request, response, early: fc.boolean(), wait: fc.boolean() });
type Exchange = typeof exchange extends fc.Arbitrary<infer T> ? T : never;

const bodiless = (method: string, status: number) => method === 'HEAD' || status === 204 || status === 304;

type Message = readonly [received: boolean, bytes: string];

/** Messages in an order a server can produce: an answer follows its request's head, and the answer before it. */
function order(exchanges: readonly Exchange[]): Message[] {
  const messages: Message[] = [];
  let waiting: Message[] = [];
  for (const { request: q, response: p, early, wait } of exchanges) {
    const lines = [`HTTP/1.1 ${p.status} x`, ...p.body[0], ...p.fields, '', ''].join('\r\n');
    const answer = p.interim + lines + (bodiless(q.method, p.status) ? '' : p.body[1]);
    messages.push([true, q.head]);
    if (early && waiting.length === 0) messages.push([false, answer], [true, q.body]);
    else {
      messages.push([true, q.body]);
      waiting.push([false, answer]);
    }
    if (wait) continue;
    messages.push(...waiting);
    waiting = [];
  }
  return [...messages, ...waiting];
}

const exchanges = fc.array(exchange, { minLength: 1, maxLength: 8 }).map(order);
const opaque = fc.array(fc.tuple(fc.boolean(), content), { maxLength: 4 });
const upgrade = fc
  .tuple(
    exchanges,
    fc.constantFrom<readonly Message[]>(
      [
        [true, 'CONNECT a:1 HTTP/1.1\r\n\r\n'],
        [false, 'HTTP/1.1 200 OK\r\n\r\n'],
      ],
      [
        [true, 'GET /ws HTTP/1.1\r\nUpgrade: x\r\n\r\n'],
        [false, 'HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n'],
      ],
    ),
    opaque,
  )
  .map(([before, handshake, after]): Message[] => [...before, ...handshake, ...after]);
const refused = fc
  .tuple(exchanges, exchanges)
  .map(([before, after]): Message[] => [
    ...before,
    [true, 'CONNECT a:1 HTTP/1.1\r\n\r\n'],
    [false, 'HTTP/1.1 405 x\r\nContent-Length: 2\r\n\r\nno'],
    ...after,
  ]);
export const messages = fc.oneof({ weight: 4, arbitrary: exchanges }, upgrade, refused);

/** Neighbours in one direction are one stream; it is cut anew at `cuts`. */
export function segment(list: readonly Message[], cuts: readonly number[], calls: readonly string[]): Step[] {
  const merged: { received: boolean; bytes: string }[] = [];
  for (const [received, bytes] of list) {
    const last = merged.at(-1);
    if (last?.received === received) last.bytes += bytes;
    else merged.push({ received, bytes });
  }
  const steps: Step[] = [];
  for (const { received, bytes } of merged) {
    for (let at = 0; at < bytes.length; ) {
      const size = cuts[steps.length % cuts.length] || bytes.length;
      const call = calls[steps.length % calls.length] ?? 'plain';
      steps.push({ connection: 0, received, bytes: bytes.slice(at, at + size), call });
      at += size;
    }
  }
  return steps;
}

const cut = fc.oneof(fc.nat(20), fc.nat(300), fc.nat(5000));
const call = fc.oneof(
  fc.constantFrom('plain', 'to'),
  fc
    .tuple(fc.constantFrom('vector', 'message'), fc.array(fc.nat(50), { minLength: 1, maxLength: 6 }))
    .map(([kind, sizes]) => `${kind}:${sizes.join(',')}`),
);
export const shape = fc.record({
  cuts: fc.array(cut, { minLength: 1, maxLength: 12 }),
  calls: fc.array(call, { minLength: 1, maxLength: 5 }),
});

/** Steps of several connections, each in its order, taken in turn as `turns` says. */
export const conversation = fc
  .tuple(
    fc.array(fc.tuple(messages, shape), { minLength: 1, maxLength: 4 }),
    fc.array(fc.nat(3), { minLength: 1, maxLength: 20 }),
  )
  .map(([connections, turns]) => {
    const queues = connections.map(([list, { cuts, calls }], connection) =>
      segment(list, cuts, calls).map((step) => ({ ...step, connection })),
    );
    return interleave(queues, turns);
  });

function interleave(queues: Step[][], turns: readonly number[]): Step[] {
  const steps: Step[] = [];
  for (let turn = 0; queues.some((queue) => queue.length > 0); turn++) {
    const waiting = queues.filter((queue) => queue.length > 0);
    const step = waiting[(turns[turn % turns.length] ?? 0) % waiting.length]?.shift();
    if (step) steps.push(step);
  }
  return steps;
}
