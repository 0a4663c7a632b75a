import type { Attributes } from './otlp.ts';
import { pause, type RawClient } from './raw-client.ts';
import type { Program } from './target.ts';

/** What is checked of a span; the rest is the business of the load tests. */
export interface EdgeSpan {
  readonly path: string;
  readonly name?: string;
  readonly attributes?: Attributes;
  readonly absent?: readonly string[];
  /** `traceId-spanId`. */
  readonly parent?: string;
  readonly traceState?: string;
  /** Neither answered nor surely unanswered: a status or a reason will do. */
  readonly anyEnd?: true;
  /** The path is cut to what was captured. */
  readonly cut?: true;
}

export interface Edge {
  readonly name: string;
  /** Programs that can't do it. */
  readonly not?: readonly Program[];
  readonly talk: (client: RawClient) => Promise<unknown>;
  readonly spans: readonly EdgeSpan[];
}

const HOST = 'Host: localhost:80\r\n';
const EVIL = 'GET /evil HTTP/1.1\r\nHost: evil.test\r\n\r\n';
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\n${HOST}${headers}\r\n`;

const post = (path: string, body: string, headers = '') =>
  `POST ${path} HTTP/1.1\r\n${HOST}${headers}content-length: ${body.length}\r\n\r\n${body}`;

/** A request of one write that is answered. */
function simple(name: string, bytes: string, ...spans: readonly EdgeSpan[]): Edge {
  return {
    name,
    talk: async (client) => {
      await client.write(bytes);
      return await client.answer();
    },
    spans,
  };
}

const except = (edge: Edge, ...not: readonly Program[]): Edge => ({ ...edge, not });

const ADDRESSES: readonly Edge[] = [
  simple(
    'absolute form',
    'GET http://shop.example:8081/users/absolute?x=1 HTTP/1.1\r\nHost: shop.example:8081\r\n\r\n',
    {
      path: '/users/absolute',
      attributes: { 'url.query': 'x=1', 'server.address': 'shop.example', 'server.port': 8081 },
    },
  ),
  simple('host without port', 'GET /users/no-port HTTP/1.1\r\nHost: shop.example\r\n\r\n', {
    path: '/users/no-port',
    attributes: { 'server.address': 'shop.example' },
  }),
  simple('IPv6 host', 'GET /users/ipv6-host HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n', {
    path: '/users/ipv6-host',
    attributes: { 'server.address': '2001:db8::1', 'server.port': 8080 },
  }),
  simple('no host', 'GET /users/no-host HTTP/1.0\r\n\r\n', {
    path: '/users/no-host',
    attributes: { 'network.protocol.version': '1.0' },
    absent: ['server.address', 'server.port'],
  }),
  simple(
    'X-Forwarded headers',
    get('/users/x-forwarded', 'X-Forwarded-Proto: https\r\nX-Forwarded-For: 203.0.113.7, 10.0.0.1\r\n'),
    { path: '/users/x-forwarded', attributes: { 'url.scheme': 'https', 'client.address': '203.0.113.7' } },
  ),
  simple(
    'Forwarded header',
    get('/users/forwarded', 'Forwarded: for="[2001:db8::17]:4711";proto=https;by=10.0.0.9\r\n'),
    { path: '/users/forwarded', attributes: { 'url.scheme': 'https', 'client.address': '2001:db8::17' } },
  ),
];

const TRACES: readonly Edge[] = [
  simple('parent that is not sampled', get('/users/unsampled', `traceparent: 00-${TRACE}-${PARENT}-00\r\n`)),
  simple(
    'trace state',
    get('/users/state', `Traceparent: 00-${TRACE}-${PARENT}-01\r\nTraceState: a=1,b=2\r\n`),
    { path: '/users/state', parent: `${TRACE}-${PARENT}`, traceState: 'a=1,b=2' },
  ),
  simple(
    'a later version of traceparent',
    get('/users/later', `traceparent: cc-${TRACE}-${PARENT}-01-x\r\n`),
    {
      path: '/users/later',
      parent: `${TRACE}-${PARENT}`,
    },
  ),
  ...[
    ['zero trace', `00-${'0'.repeat(32)}-${PARENT}-01`],
    ['zero parent', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['version ff', `ff-${TRACE}-${PARENT}-01`],
    ['capital letters', `00-${TRACE.toUpperCase()}-${PARENT}-01`],
    ['too short', `00-${TRACE}-${PARENT}`],
    ['nonsense', 'GET /evil HTTP/1.1'],
  ].map(([name, value]) => {
    const path = `/users/bad-parent-${name?.replaceAll(' ', '-')}`;
    return simple(`invalid traceparent: ${name}`, get(path, `traceparent: ${value}\r\n`), {
      path,
      parent: '',
    });
  }),
];

const HEADS: readonly Edge[] = [
  {
    name: 'a head byte by byte',
    talk: async (client) => {
      await client.write(...get('/users/bytewise', 'User-Agent: slow/1\r\n'));
      return await client.answer();
    },
    spans: [{ path: '/users/bytewise', attributes: { 'user_agent.original': 'slow/1' } }],
  },
  {
    name: 'a pause inside the end of the head',
    talk: async (client) => {
      await client.write('GET /users/paused HTTP/1.1\r\nHost: localhost:80\r\n\r');
      await pause(20);
      await client.write('\n');
      return await client.answer();
    },
    spans: [{ path: '/users/paused' }],
  },
  except(
    simple('empty lines before the request', `\r\n\r\n${get('/users/crlf-first')}`, {
      path: '/users/crlf-first',
    }),
    'stdhttp',
  ),
  except(
    simple('line feeds only', 'GET /users/lf-only HTTP/1.1\nHost: localhost:80\n\n', {
      path: '/users/lf-only',
    }),
    'stdhttp',
  ),
  simple('bytes above 0x7f', get('/users/umlaut', 'User-Agent: caf\xc3\xa9\r\n'), {
    path: '/users/umlaut',
    attributes: { 'user_agent.original': 'café' },
  }),
  simple('a path longer than the capture', get(`/users/long-path-${'x'.repeat(6000)}`), {
    path: `/users/long-path-${'x'.repeat(6000)}`,
    cut: true,
  }),
  simple(
    'a head larger than the capture',
    get(
      '/users/late',
      `traceparent: 00-${TRACE}-${PARENT}-01\r\nCookie: ${'c'.repeat(10_000)}\r\nUser-Agent: late/1\r\n`,
    ),
    { path: '/users/late', parent: `${TRACE}-${PARENT}` },
  ),
  simple('an unknown method', 'PROPPATCH /users/proppatch HTTP/1.1\r\nHost: localhost:80\r\n\r\n', {
    path: '/users/proppatch',
    attributes: { 'http.request.method': '_OTHER', 'http.request.method_original': 'PROPPATCH' },
  }),
  simple('method QUERY', 'QUERY /users/query HTTP/1.1\r\nHost: localhost:80\r\ncontent-length: 0\r\n\r\n', {
    path: '/users/query',
    attributes: { 'http.request.method': 'QUERY' },
    absent: ['http.request.method_original'],
  }),
];

const BODIES: readonly Edge[] = [
  {
    name: 'a body and the next head in one write',
    talk: async (client) => {
      await client.write(post('/echo/glued-1', 'hello') + get('/users/glued-2'));
      return [await client.answer(), await client.answer()];
    },
    spans: [{ path: '/echo/glued-1' }, { path: '/users/glued-2' }],
  },
  {
    name: 'the end of a body and the next head in one write',
    talk: async (client) => {
      await client.write(`POST /echo/tail-1 HTTP/1.1\r\n${HOST}content-length: ${2 * EVIL.length}\r\n\r\n`);
      await pause(5);
      await client.write(EVIL);
      await pause(5);
      await client.write(EVIL + get('/users/tail-2'));
      return [await client.answer(), await client.answer()];
    },
    spans: [{ path: '/echo/tail-1' }, { path: '/users/tail-2' }],
  },
  except(
    {
      name: 'chunk extensions and trailers',
      talk: async (client) => {
        const body = `5;note="GET /evil"\r\nhello\r\n${EVIL.length.toString(16)}\r\n${EVIL}\r\n0\r\nX-Trailer: GET /evil\r\n\r\n`;
        await client.write(`POST /echo/trailers HTTP/1.1\r\n${HOST}transfer-encoding: chunked\r\n\r\n`, body);
        await client.answer();
        await client.write(get('/users/after-trailers'));
        return await client.answer();
      },
      spans: [{ path: '/echo/trailers' }, { path: '/users/after-trailers' }],
    },
    'stdhttp',
    'actix4',
  ),
  {
    name: 'a client that leaves inside its body',
    talk: async (client) => {
      await client.write(`POST /echo/cut-body HTTP/1.1\r\n${HOST}content-length: 1000\r\n\r\n`, EVIL);
      await pause(30);
      client.reset();
      await pause(30);
    },
    spans: [{ path: '/echo/cut-body', anyEnd: true }],
  },
  {
    name: 'an answer in place of 100 Continue',
    talk: async (client) => {
      await client.write(
        `POST /early/refused HTTP/1.1\r\n${HOST}Expect: 100-continue\r\ncontent-length: 9\r\n\r\n`,
      );
      return await client.status();
    },
    spans: [{ path: '/early/refused' }],
  },
];

const CONNECTIONS: readonly Edge[] = [
  {
    name: 'HEAD, 204 and 304 leave the connection usable',
    talk: async (client) => {
      await client.write(`HEAD /users/head-first HTTP/1.1\r\n${HOST}\r\n`);
      await client.status();
      for (const path of ['/status/204/no-content', '/status/304/not-modified', '/users/after-304']) {
        await client.write(get(path));
        await client.answer();
      }
    },
    spans: [
      { path: '/users/head-first', attributes: { 'http.request.method': 'HEAD' } },
      { path: '/status/204/no-content', attributes: { 'http.response.status_code': 204 } },
      { path: '/status/304/not-modified', attributes: { 'http.response.status_code': 304 } },
      { path: '/users/after-304' },
    ],
  },
  except(
    {
      name: 'HTTP/1.0 with keep-alive',
      talk: async (client) => {
        for (const path of ['/users/ten-1', '/users/ten-2']) {
          await client.write(`GET ${path} HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`);
          await client.answer();
        }
      },
      spans: ['/users/ten-1', '/users/ten-2'].map((path) => ({
        path,
        attributes: { 'network.protocol.version': '1.0' },
      })),
    },
    'stdhttp',
  ),
  {
    name: 'the preface of HTTP/2',
    talk: async (client) => {
      await client.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      await pause(20);
      client.end();
    },
    spans: [],
  },
  {
    name: 'a connection without a byte',
    talk: async (client) => client.end(),
    spans: [],
  },
  {
    name: 'a client that leaves without its answer',
    talk: async (client) => {
      await client.write(get('/hang/left'));
      await pause(40);
      client.end();
      await pause(20);
    },
    spans: [{ path: '/hang/left', absent: ['http.response.status_code'], anyEnd: true }],
  },
];

export const EDGES: readonly Edge[] = [...ADDRESSES, ...TRACES, ...HEADS, ...BODIES, ...CONNECTIONS];
