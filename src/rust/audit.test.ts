import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { parseAudit } from './audit.ts';

const section = (value: unknown) => deflateSync(JSON.stringify(value));

test('crates of the program, without those of its build', () => {
  const packages = [
    { name: 'hyper', version: '1.12.0', source: 'crates.io', dependencies: [1] },
    { name: 'cc', version: '1.2.3', source: 'crates.io', kind: 'build' },
    { name: 'shop', version: '0.1.0', source: 'local', root: true },
  ];
  const crates = [
    { name: 'hyper', version: '1.12.0', evidence: '.dep-v0: hyper 1.12.0' },
    { name: 'shop', version: '0.1.0', evidence: '.dep-v0: shop 0.1.0' },
  ];
  assert.deepEqual(parseAudit(section({ packages })), { crates, packageVersion: '0.1.0' });
  const [first] = packages;
  assert.equal(parseAudit(section({ packages: [first] })).packageVersion, undefined);
});

test('damaged sections say so', () => {
  assert.throws(
    () => parseAudit(Buffer.from('no zlib')),
    /^Error: Cannot read \.dep-v0: incorrect header check$/,
  );
  assert.throws(() => parseAudit(deflateSync('{')), /^Error: Cannot read \.dep-v0: /);
  assert.throws(() => parseAudit(section([])), {
    message: 'Cannot read .dep-v0: it has no list of packages',
  });
  assert.throws(() => parseAudit(deflateSync(Buffer.alloc(1 << 25, '['))), /^Error: Cannot read \.dep-v0: /);
});

test('entries of any shape are skipped or plain text', () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), (packages) => {
      for (const { name } of parseAudit(section({ packages })).crates) assert.match(name, /^[\w.+-]+$/);
    }),
  );
});
