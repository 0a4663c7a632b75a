import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forwardedParameter, redactQuery, splitHost, splitTarget } from './url.ts';

test('path and query of a target', () => {
  const table: readonly (readonly [
    method: string,
    target: string,
    path: string,
    query: string | undefined,
  ])[] = [
    ['GET', '/', '/', undefined],
    ['GET', '/a/b?c=d?e', '/a/b', 'c=d?e'],
    ['GET', '/a?', '/a', undefined],
    ['GET', '/a#b?c', '/a', undefined],
    ['GET', '/a?b#c', '/a', 'b'],
    ['GET', '/?u=http://b/c', '/', 'u=http://b/c'],
    ['GET', 'http://a.example/x?y', '/x', 'y'],
    ['GET', 'http://a.example', '/', undefined],
    ['GET', 'http://a.example?y', '/', 'y'],
    ['OPTIONS', '*', '*', undefined],
    ['CONNECT', 'a.example:443', '', undefined],
  ];
  for (const [method, target, path, query] of table)
    assert.deepEqual(splitTarget(method, target), { path, query }, target);
});

test('secrets of a query', () => {
  assert.equal(redactQuery('a=b&sig=c'), 'a=b&sig=REDACTED');
  assert.equal(
    redactQuery('X-Amz-Signature=1&X-Amz-Credential=&x=1'),
    'X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED&x=1',
  );
  assert.equal(
    redactQuery('X-Goog-Signature=a=b&X-Amz-Security-Token=c'),
    'X-Goog-Signature=REDACTED&X-Amz-Security-Token=REDACTED',
  );
  for (const query of ['sig', 'design=1', 'signature=1', 'a=sig=1', 'SIG=1'])
    assert.equal(redactQuery(query), query);
});

test('host and port', () => {
  const host = (text: string) => splitHost(text);
  assert.deepEqual(host('a.example'), { host: 'a.example', port: undefined });
  assert.deepEqual(host('a.example:8080'), { host: 'a.example', port: 8080 });
  assert.deepEqual(host('a.example:'), { host: 'a.example', port: undefined });
  assert.deepEqual(host('[::1]'), { host: '::1', port: undefined });
  assert.deepEqual(host('[::1]:80'), { host: '::1', port: 80 });
  assert.deepEqual(host('2001:db8::1'), { host: '2001:db8::1', port: undefined });
  for (const port of ['0', '65536', '99999', 'x', '-1', '1e3'])
    assert.deepEqual(host(`a:${port}`), { host: 'a', port: undefined });
  assert.equal(host(''), undefined);
  assert.equal(host(':80'), undefined);
});

test('Forwarded', () => {
  const header = 'For="[2001:db8::1]:47" ; proto=https;by=1.2.3.4, for=5.6.7.8';
  assert.equal(forwardedParameter(header, 'for'), '[2001:db8::1]:47');
  assert.equal(forwardedParameter(header, 'proto'), 'https');
  assert.equal(forwardedParameter(header, 'host'), undefined);
  assert.equal(forwardedParameter('', 'for'), undefined);
});
