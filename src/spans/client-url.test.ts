import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CALL_SCHEME } from '../events/layout.ts';
import { callTarget, comparableUrl, fullUrl, wireTarget } from './client-url.ts';

test('url.full of a call', () => {
  const table: readonly (readonly [scheme: number, authority: string, path: string, url: string])[] = [
    [CALL_SCHEME.HTTP, 'a.example', '/', 'http://a.example/'],
    [CALL_SCHEME.HTTP, 'a.example', '', 'http://a.example/'],
    [CALL_SCHEME.HTTP, 'a.example', '?q=1', 'http://a.example/?q=1'],
    [CALL_SCHEME.HTTPS, '[::1]:8443', '/x?y=z#part', 'https://[::1]:8443/x?y=z'],
    [CALL_SCHEME.HTTP, 'user:pass@a.example:81', '/', 'http://REDACTED:REDACTED@a.example:81/'],
    [CALL_SCHEME.HTTP, 'token@a.example', '/', 'http://REDACTED:REDACTED@a.example/'],
    [CALL_SCHEME.HTTP, 'us@er:p@a.example', '/', 'http://REDACTED:REDACTED@a.example/'],
    [CALL_SCHEME.HTTPS, 'a.example', '/x?sig=1&b=2', 'https://a.example/x?sig=REDACTED&b=2'],
    [CALL_SCHEME.HTTP, 'a.example', '/\xc3\xa9', 'http://a.example/é'],
    [CALL_SCHEME.OTHER, '2f746d70', '/x', '//2f746d70/x'],
  ];
  for (const [scheme, authority, path, url] of table)
    assert.equal(fullUrl(callTarget(scheme, authority, path)), url);
});

test('url.full of a request line', () => {
  const table: readonly (readonly [method: string, target: string, tls: boolean, url: string])[] = [
    ['GET', '/a?b', false, 'http://h.example/a?b'],
    ['GET', '/a', true, 'https://h.example/a'],
    ['GET', 'HTTP://b.example:8/c?d', false, 'http://b.example:8/c?d'],
    ['GET', 'http://u:p@b.example', false, 'http://REDACTED:REDACTED@b.example/'],
    ['GET', 'http://b.example?q', false, 'http://b.example/?q'],
    ['OPTIONS', '*', false, 'http://h.example'],
    ['CONNECT', 'b.example:443', false, '//b.example:443'],
  ];
  for (const [method, target, tls, url] of table)
    assert.equal(fullUrl(wireTarget(method, target, 'h.example', tls)), url);
});

test('URLs are compared normalised', () => {
  assert.equal(comparableUrl('HTTP://u:p@A.example:80/x/../y#z'), 'http://a.example/y');
  assert.equal(comparableUrl('../b', 'https://a.example/x/y'), 'https://a.example/b');
  assert.equal(comparableUrl('/b', '://nothing'), undefined);
});

test('no credentials and no secret get through', () => {
  const secret = 'sEcReT';
  const part = fc.stringMatching(/^[!-~]{0,8}$/);
  fc.assert(
    fc.property(part, part, fc.stringMatching(/^[a-z=&]{0,9}$/), (user, more, query) => {
      const authority = `${user}${secret}:${secret}${more.replaceAll('@', '')}@host`;
      const path = `/p?${query}&sig=${secret}&z=1#${secret}`;
      const target = callTarget(CALL_SCHEME.HTTP, authority, path);
      assert.equal(fullUrl(target).includes(secret), false);
    }),
  );
});
