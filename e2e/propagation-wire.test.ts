import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { startAgent } from './support/agent.ts';
import { Collector } from './support/collector.ts';
import { pause } from './support/raw-client.ts';
import { Scratch } from './support/scratch.ts';
import { copyProgram, startTarget, type Target } from './support/target.ts';

/** A program's turn on a connection: what it writes, each string in a system call of its own, and what it is answered. */
interface Turn {
  readonly write?: readonly string[];
  /** In one system call. */
  readonly vector?: readonly string[];
  readonly answer?: string;
}

interface Conversation {
  readonly name: string;
  readonly turns: readonly Turn[];
  /** The writes, counted over all turns, that begin with a request which gets a header. */
  readonly injected: readonly number[];
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: h\r\n${headers}\r\n`;
const post = (length: number, headers = '') =>
  `POST /p HTTP/1.1\r\nHost: h\r\n${headers}Content-Length: ${length}\r\n\r\n`;
const EVIL = get('/evil');
const own = get('/own', 'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n');
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
const chunked = (...more: string[]) =>
  `POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${more.join('')}`;

const CONVERSATIONS: readonly Conversation[] = [
  {
    name: 'keep-alive',
    turns: ['/a', '/b', '/c'].map((path) => ({ write: [get(path)], answer: OK })),
    injected: [0, 1, 2],
  },
  {
    name: 'a body in the same write, in others, in a vector',
    injected: [0, 1, 4],
    turns: [
      { write: [post(EVIL.length) + EVIL], answer: OK },
      { write: [post(2 * EVIL.length), EVIL, EVIL], answer: OK },
      { vector: [post(EVIL.length), EVIL], answer: OK },
    ],
  },
  {
    name: 'a megabyte that looks like requests',
    injected: [0, 2],
    turns: [
      { write: [post(EVIL.length * 30_000), EVIL.repeat(30_000)], answer: OK },
      { write: [get('/after')], answer: OK },
    ],
  },
  {
    name: 'chunks',
    injected: [0, 4],
    turns: [
      {
        write: [chunked(chunk(EVIL)), chunk(EVIL), `${EVIL.length.toString(16)}\r\n`, `${EVIL}\r\n0\r\n\r\n`],
        answer: OK,
      },
      { write: [get('/after')], answer: OK },
    ],
  },
  {
    name: 'Expect: 100-continue',
    injected: [0, 2],
    turns: [
      { write: [post(EVIL.length, 'Expect: 100-continue\r\n')], answer: 'HTTP/1.1 100 Continue\r\n\r\n' },
      { write: [EVIL], answer: OK },
      { write: [get('/after')], answer: OK },
    ],
  },
  {
    name: 'a head in two writes, then a whole one',
    injected: [2],
    turns: [
      { write: [EVIL.slice(0, 20), EVIL.slice(20)], answer: OK },
      { write: [get('/after')], answer: OK },
    ],
  },
  {
    name: 'pipelined requests: the first alone',
    injected: [0, 2],
    turns: [
      { write: [get('/1') + get('/2'), get('/3')], answer: OK + OK + OK },
      { write: [get('/4')], answer: OK },
    ],
  },
  {
    name: 'its own traceparent',
    injected: [1],
    turns: [
      { write: [own], answer: OK },
      { write: [get('/b')], answer: OK },
    ],
  },
  {
    name: 'CONNECT, then a tunnel',
    injected: [],
    turns: [
      { write: ['CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n'], answer: 'HTTP/1.1 200 OK\r\n\r\n' },
      { write: [EVIL], answer: OK },
      { write: [EVIL, EVIL], answer: OK },
    ],
  },
  {
    name: 'an upgrade, then what looks like requests',
    injected: [0],
    turns: [
      {
        write: [get('/ws', 'Connection: upgrade\r\nUpgrade: websocket\r\n')],
        answer: 'HTTP/1.1 101 Switching Protocols\r\n\r\n',
      },
      { write: [EVIL, `\x81\x05hello${EVIL}`], answer: OK },
      { write: [EVIL], answer: OK },
    ],
  },
  {
    name: 'a line protocol',
    injected: [],
    turns: [
      { write: ['GET key1 key2\r\n', 'GET key1\r\n\r\n'], answer: 'VALUE 1\r\n' },
      { write: ['PUT /a HTTP/1.1 x\r\n\r\n', EVIL], answer: 'STORED\r\n' },
    ],
  },
  { name: 'HTTP/1.0', injected: [], turns: [{ write: [EVIL.replace('1.1', '1.0')], answer: OK }] },
  {
    name: '99 headers and 100',
    injected: [0],
    turns: [98, 99].map((count) => ({
      write: [get('/many', Array.from({ length: count }, (_, n) => `x-${n}: ${n}\r\n`).join(''))],
      answer: OK,
    })),
  },
  {
    name: '4 KiB of a client that no probe knows',
    injected: [0],
    turns: [4_096, 4_097].map((size) => ({
      write: [get('/large', `x: ${'y'.repeat(size - get('/large', 'x: \r\n').length)}\r\n`)],
      answer: OK,
    })),
  },
];

const HEADER = /traceparent: 00-([0-9a-f]{32}-[0-9a-f]{16})-01\r\n/;

/** Every byte that was written, and where headers are expected the ids in them. */
function compare(received: string, { turns, injected }: Conversation): string[] {
  const writes = turns.flatMap(({ write = [], vector }) => (vector ? [vector.join('')] : write));
  const ids: string[] = [];
  let at = 0;
  for (const [index, text] of writes.entries()) {
    let got = received.slice(at, at + text.length);
    if (injected.includes(index)) {
      got = received.slice(at, at + text.length + 70);
      const [header = '', id = ''] = HEADER.exec(got) ?? [];
      ids.push(id);
      assert.equal(
        got.indexOf(header),
        text.indexOf('\r\n') + 2,
        `write ${index} has its header behind the first line`,
      );
      at += header.length;
      got = got.replace(header, '');
    }
    assert.equal(got.length === text.length && got === text, true, `write ${index}: ${got.slice(0, 300)}`);
    at += text.length;
  }
  assert.equal(received.length, at);
  return ids;
}

const IDLE_MS = 15;

/** Answers what is next when nothing more comes; `received`: a connection each, a byte a character. */
function startPeer(conversations: readonly Conversation[]) {
  const received: string[] = [];
  const server = createServer((socket: Socket) => {
    const number = received.push('') - 1;
    const answers = (conversations[number]?.turns ?? []).map(({ answer }) => answer ?? '');
    const chunks: Buffer[] = [];
    let timer: NodeJS.Timeout | undefined;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      chunks.push(bytes);
      clearTimeout(timer);
      timer = setTimeout(() => socket.write(answers.shift() ?? '', 'latin1'), IDLE_MS);
    });
    socket.on('close', () => {
      received[number] = Buffer.concat(chunks).toString('latin1');
    });
  });
  return { server, received };
}

const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex');

function scriptOf({ turns }: Conversation): string {
  return turns
    .flatMap(({ write = [], vector, answer }) => [
      ...(vector ? [`vector ${vector.map(hex).join(' ')}`] : write.map((text) => `write ${hex(text)}`)),
      ...(answer ? [`until ${hex(answer)}`] : []),
    ])
    .join('\n');
}

async function talk(target: Target, port: number, conversation: Conversation): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${target.port}/wire/${port}`, {
    method: 'POST',
    body: scriptOf(conversation),
    signal: AbortSignal.timeout(20_000),
  });
  assert.equal(response.status, 200, conversation.name);
  await response.text();
}

test('byte by byte: headers where they belong, and nothing else is touched', async (t) => {
  using scratch = new Scratch();
  using collector = await Collector.start(scratch);
  const executable = copyProgram(scratch, 'stdhttp');
  using target = await startTarget(executable, { program: 'stdhttp' });
  const { server, received } = startPeer(CONVERSATIONS);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  using agent = await startAgent(['--exe', executable], {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.httpEndpoint,
  });
  for (const conversation of CONVERSATIONS)
    await talk(target, (server.address() as AddressInfo).port, conversation);
  await pause(200);
  await agent.stop();
  const clients = new Map(
    (await collector.finish())
      .filter(({ kind }) => kind === 3)
      .map((span) => [`${span.traceId}-${span.spanId}`, span]),
  );
  const failures: string[] = [];
  for (const [index, conversation] of CONVERSATIONS.entries()) {
    try {
      const ids = compare(received[index] ?? '', conversation);
      for (const id of ids) assert.ok(clients.get(id)?.parentSpanId, `a CLIENT span with a parent has ${id}`);
    } catch (error) {
      failures.push(`${conversation.name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  assert.deepEqual(failures, [], agent.child.stderr);
});
