import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseRequestHead, parseResponseHeaders } from './request-head.ts';

const parse = (text: string) => parseRequestHead(text, true, undefined);

test('line and headers', () => {
  const head = parse(
    'GET /a?b HTTP/1.1\r\nhOST: \t a.example:80 \r\nUser-Agent:curl\r\nForwarded: for=a\r\n' +
      'X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nTraceState: a=1\r\ntracestate: b=2\r\n\r\n',
  );
  assert.deepEqual(head, {
    method: 'GET',
    target: '/a?b',
    version: '1.1',
    host: 'a.example:80',
    userAgent: 'curl',
    forwarded: 'for=a',
    forwardedFor: '10.0.0.1',
    forwardedProto: 'https',
    traceState: 'a=1,b=2',
    captured: undefined,
  });
});

const ACCEPTED = [
  'GET / HTTP/1.0\r\n\r\n',
  'GET / HTTP/1.1\n\n',
  '\r\n\r\nGET / HTTP/1.1\r\n\r\n',
  'M-SEARCH * HTTP/1.1\r\n\r\n',
  'CONNECT a.example:443 HTTP/1.1\r\n\r\n',
  'GET /\xc3\xa9 HTTP/1.1\r\n\r\n',
  'GET / HTTP/1.1\r\nA:\r\nB: \xff\t x\r\n\r\n',
  'GET http://a.example/ HTTP/1.1\r\n\r\n',
];
for (const text of ACCEPTED) test(`as httparse, takes ${JSON.stringify(text)}`, () => assert(parse(text)));

const REFUSED = [
  '',
  '\r\n\r\n',
  'GET / HTTP/1.1\r\n',
  'GET / HTTP/1.1',
  'GET  / HTTP/1.1\r\n\r\n',
  'GET /  HTTP/1.1\r\n\r\n',
  ' GET / HTTP/1.1\r\n\r\n',
  'GET\t/ HTTP/1.1\r\n\r\n',
  'G@T / HTTP/1.1\r\n\r\n',
  'GET / HTTP/1.2\r\n\r\n',
  'GET / HTTP/2.0\r\n\r\n',
  'GET / http/1.1\r\n\r\n',
  'GET / HTTP/1.1 \r\n\r\n',
  'GET /\x7f HTTP/1.1\r\n\r\n',
  'GET / HTTP/1.1\rA: b\r\n\r\n',
  'GET / HTTP/1.1\r\nA\r\n\r\n',
  'GET / HTTP/1.1\r\nA : b\r\n\r\n',
  'GET / HTTP/1.1\r\n: b\r\n\r\n',
  'GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n',
  'GET / HTTP/1.1\r\nA: b\rc\r\n\r\n',
  'GET / HTTP/1.1\r\nA: \0\r\n\r\n',
  'GET / HTTP/1.1\r\nA(: b\r\n\r\n',
  '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03',
];
for (const text of REFUSED)
  test(`refuses ${JSON.stringify(text)}`, () => assert.equal(parse(text), undefined));

test('a head that was cut keeps what is whole', () => {
  const cut = (text: string) => parseRequestHead(text, false, undefined);
  assert.equal(cut('GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: b')?.host, 'a');
  assert.equal(cut('GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: b')?.userAgent, undefined);
  assert.equal(cut(`GET /${'a'.repeat(9000)}`)?.target.length, 9001);
  assert.equal(cut('GET / HTTP/1.1\r\nno header\r\nHost: a\r\n'), undefined);
  assert.equal(cut('garbage'), undefined);
});

test('captured headers, in order, by lower-case name', () => {
  const text = 'GET / HTTP/1.1\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\n\r\n';
  const captured = parseRequestHead(text, true, new Set(['x-a', 'x-c']))?.captured;
  assert.deepEqual(captured && [...captured], [['x-a', ['1', '3']]]);
  const response = parseResponseHeaders('HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n', new Set(['x-a']));
  assert.deepEqual(response && [...response], [['x-a', ['1']]]);
});

test('any bytes: an answer in bounded time', () => {
  const piece = fc.oneof(
    fc.constantFrom('GET ', '/ ', 'HTTP/1.1\r\n', 'A: b\r\n', '\r\n', ':', 'a', ' ', '\n'),
    fc.string({ unit: 'binary-ascii', maxLength: 30 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), fc.boolean(), (pieces, complete) => {
      const head = parseRequestHead(pieces.join(''), complete, new Set(['a']));
      if (head) assert.match(head.method, /^[!-~]+$/);
    }),
  );
  const start = performance.now();
  parseRequestHead(`GET / HTTP/1.1\r\n${'a:b\r\n'.repeat(4000)}`, true, undefined);
  parseRequestHead(`GET ${'a'.repeat(16_000)}`, false, undefined);
  assert(performance.now() - start < 500);
});
