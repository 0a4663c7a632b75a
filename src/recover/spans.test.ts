import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceFunction } from './spans.ts';

const ROLE = 'src/proto/h1/role.rs';

test('the innermost function around a line', () => {
  assert.deepEqual(sourceFunction('hyper', '1.12.0', ROLE, 189), {
    name: '<Server as Http1Transaction>::parse',
    linesOf: '1.12.0',
  });
  assert.equal(
    sourceFunction('hyper', '1.12.0', ROLE, 565)?.name,
    'Server::encode_headers_with_lower_case::<LowercaseWriter as HeaderNameWriter>::write_full_header_line',
  );
  assert.equal(
    sourceFunction('hyper-util', '0.1.21', 'src/client/legacy/client.rs', 245)?.name,
    'Client::send_request',
  );
});

test('a version that is not in the table has the lines of its nearest neighbour, of the same line only', () => {
  assert.equal(sourceFunction('hyper', '1.99.0', ROLE, 189)?.linesOf, '1.12.0');
  assert.equal(sourceFunction('hyper', '0.14.6', ROLE, 189)?.linesOf, '0.14.5', 'yanked');
  assert.equal(sourceFunction('hyper', '0.13.0', ROLE, 189), undefined);
  assert.equal(sourceFunction('hyper', '2.0.0', ROLE, 189), undefined);
});

test('no function, no file, no version', () => {
  assert.equal(sourceFunction('hyper', '1.12.0', ROLE, 1), undefined);
  assert.equal(sourceFunction('hyper', '1.12.0', 'src/lib.rs', 10), undefined);
  assert.equal(sourceFunction('hyper', undefined, ROLE, 189), undefined);
  assert.equal(sourceFunction('serde', '1.0.0', 'src/lib.rs', 10), undefined);
});
