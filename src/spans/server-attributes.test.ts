import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AttributeKey } from '../base/attribute-key.ts';
import { parseRequestHead } from './request-head.ts';
import { KNOWN_METHODS, requestAttributes, spanName, type Transport, text } from './server-attributes.ts';

const PLAIN: Transport = { tls: false, peerAddress: '10.0.0.9', peerPort: 5000 };
const KNOWN = new Set(KNOWN_METHODS);

function attributes(head: string, transport = PLAIN, capture?: ReadonlySet<string>): Record<string, unknown> {
  const parsed = parseRequestHead(head, true, capture);
  assert(parsed);
  const flat = requestAttributes(parsed, transport, KNOWN);
  return Object.fromEntries(
    Array.from({ length: flat.length / 2 }, (_, i) => [(flat[2 * i] as AttributeKey).name, flat[2 * i + 1]]),
  );
}

const get = (...headers: string[]) => ['GET /a HTTP/1.1', ...headers, '', ''].join('\r\n');

test('all that a request tells', () => {
  assert.deepEqual(
    attributes('POST /a?b=c&sig=d HTTP/1.0\r\nHost: a.example:81\r\nUser-Agent: curl\r\n\r\n'),
    {
      'http.request.method': 'POST',
      'url.path': '/a',
      'url.scheme': 'http',
      'url.query': 'b=c&sig=REDACTED',
      'network.protocol.version': '1.0',
      'server.address': 'a.example',
      'server.port': 81,
      'client.address': '10.0.0.9',
      'network.peer.address': '10.0.0.9',
      'network.peer.port': 5000,
      'user_agent.original': 'curl',
    },
  );
});

test('what is not known is absent', () => {
  assert.deepEqual(attributes(get(), { tls: undefined, peerAddress: undefined, peerPort: 0 }), {
    'http.request.method': 'GET',
    'url.path': '/a',
    'network.protocol.version': '1.1',
  });
});

test('methods: known in this case only', () => {
  for (const method of KNOWN_METHODS) {
    const found = attributes(`${method} / HTTP/1.1\r\n\r\n`);
    assert.equal(found['http.request.method'], method);
    assert.equal('http.request.method_original' in found, false);
  }
  for (const method of ['get', 'PROPFIND', 'GETX']) {
    const found = attributes(`${method} / HTTP/1.1\r\n\r\n`);
    assert.deepEqual(
      [found['http.request.method'], found['http.request.method_original']],
      ['_OTHER', method],
    );
  }
});

test('scheme: what a proxy says, else the connection', () => {
  const scheme = (tls: boolean | undefined, ...headers: string[]) =>
    attributes(get('Host: a', ...headers), { ...PLAIN, tls })['url.scheme'];
  assert.equal(scheme(false), 'http');
  assert.equal(scheme(true), 'https');
  assert.equal(scheme(false, 'X-Forwarded-Proto: HTTPS, http'), 'https');
  assert.equal(scheme(true, 'Forwarded: for=a;proto=http', 'X-Forwarded-Proto: https'), 'http');
  assert.equal(scheme(false, 'X-Forwarded-Proto: not a scheme'), 'http');
  assert.equal(scheme(undefined), undefined);
});

test('server port: from Host, else by scheme', () => {
  const port = (host: string, tls: boolean | undefined) =>
    attributes(get(`Host: ${host}`), { ...PLAIN, tls })['server.port'];
  assert.equal(port('a', false), 80);
  assert.equal(port('a', true), 443);
  assert.equal(port('a', undefined), undefined);
  assert.equal(port('a:8443', true), 8443);
});

test('client: what a proxy says, else the peer; the peer stays', () => {
  const client = (...headers: string[]) => attributes(get(...headers))['client.address'];
  assert.equal(client('X-Forwarded-For: 1.2.3.4, 5.6.7.8'), '1.2.3.4');
  assert.equal(client('X-Forwarded-For: 1.2.3.4:99'), '1.2.3.4');
  assert.equal(client('X-Forwarded-For: 2001:db8::1'), '2001:db8::1');
  assert.equal(client('Forwarded: for="[2001:db8::2]:1"', 'X-Forwarded-For: 1.2.3.4'), '2001:db8::2');
  assert.equal(client('Forwarded: for=unknown'), '10.0.0.9');
  assert.equal(client('Forwarded: for=_hidden'), '10.0.0.9');
  assert.equal(attributes(get('X-Forwarded-For: 1.2.3.4'))['network.peer.address'], '10.0.0.9');
});

test('captured headers and text', () => {
  const found = attributes(get('X-A: 1', 'x-a: \xc3\xa9'), PLAIN, new Set(['x-a']));
  assert.deepEqual(found['http.request.header.x-a'], ['1', 'é']);
  assert.equal(text('\xff'), '\ufffd');
});

test('names: never the path', () => {
  assert.equal(spanName('GET', true, '/a/{id}'), 'GET /a/{id}');
  assert.equal(spanName('GET', true, undefined), 'GET');
  assert.equal(spanName('PROPFIND', false, '/a'), 'HTTP /a');
  assert.equal(spanName('PROPFIND', false, undefined), 'HTTP');
});
